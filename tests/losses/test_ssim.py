import functools

import jax
import numpy as np
import pytest

from ppcn_jax.losses import ssim
from tests import references


def random_pair(shape=(2, 13, 18, 3), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random(shape, np.float32) for _ in range(2)]


@pytest.mark.parametrize(
    "options",
    [
        {"window": 7},
        {"window": 8, "sigma": 1.1},
        {"k1": 0.05},
        {"k2": 0.2},
        {"data_range": 2.0},
    ],
    ids=str,
)
def test_options(options):
    pair = random_pair()
    value = jax.jit(functools.partial(ssim, **options))(*pair)
    np.testing.assert_allclose(value, references.ssim(*pair, **options), rtol=2e-5)


def test_scales_with_data_range():
    pair = random_pair()
    scaled = ssim(*(255 * image for image in pair), data_range=255)
    np.testing.assert_allclose(scaled, ssim(*pair), rtol=2e-5)


def test_symmetric():
    y, t = random_pair()
    np.testing.assert_allclose(ssim(y, t), ssim(t, y), rtol=1e-6)


def test_identical_images_give_zero_also_where_flat():
    image = random_pair()[0]
    image[:, :6] = 0.5
    np.testing.assert_allclose(ssim(image, image), 0, atol=1e-7)


def test_inverted_image_gives_a_value_between_one_and_two():
    checkers = (np.indices((1, 12, 12, 1)).sum(axis=0) % 2).astype(np.float32)
    value = float(ssim(checkers, 1 - checkers)[0])
    assert 1.9 < value <= 2


def test_precision_on_a_bright_smooth_image():
    # Here E[x^2] - E[x]^2 suffers from cancellation in float32.
    ramp = np.linspace(0, 0.01, 24, dtype=np.float32)
    y = 0.95 + ramp[None, :, None, None] + np.zeros((1, 24, 24, 3), np.float32)
    noise = np.random.default_rng(0).standard_normal(y.shape, dtype=np.float32)
    t = y + np.float32(3e-3) * noise
    np.testing.assert_allclose(jax.jit(ssim)(y, t), references.ssim(y, t), rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 10, 30, 3), (1, 30, 10, 3)])
def test_side_below_window_raises(shape):
    image = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="at least 11 px.*10"):
        ssim(image, image)
