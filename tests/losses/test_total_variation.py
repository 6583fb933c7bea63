import numpy as np
import pytest

from ppcn_jax.losses import total_variation


def test_directions_are_averaged_separately():
    rows = np.zeros((1, 4, 6, 2), np.float32)
    rows[:, 1] = 1  # two of the three vertical differences are 1
    np.testing.assert_allclose(total_variation(rows), 2 / 3, rtol=1e-6)
    columns = np.zeros((1, 4, 6, 2), np.float32)
    columns[:, :, 0] = 1  # one of the five horizontal differences is 1
    np.testing.assert_allclose(total_variation(columns), 1 / 5, rtol=1e-6)


def test_absolute_differences_by_hand():
    step = np.zeros((1, 4, 6, 2), np.float32)
    step[:, 2:] = 3  # one of the three vertical differences is 3
    np.testing.assert_allclose(total_variation(step, form="l1"), 1, rtol=1e-6)
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[None, :, None, None], step.shape)
    np.testing.assert_allclose(total_variation(ramp, form="l1"), 1, rtol=1e-6)


def test_flat_image_gives_zero():
    assert float(total_variation(np.full((1, 2, 2, 3), 0.7, np.float32))[0]) == 0


@pytest.mark.parametrize("shape", [(1, 1, 9, 3), (1, 9, 1, 3)])
def test_side_below_two_raises(shape):
    with pytest.raises(ValueError, match="at least 2 px"):
        total_variation(np.zeros(shape, np.float32))
