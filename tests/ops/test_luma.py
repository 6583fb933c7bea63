"""Luma weights against the definition of BT.601, and their sum over channels."""

import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.ops import luma


def test_studio_range_is_the_full_range_scaled_to_219_steps():
    scaled = np.multiply(luma.FULL_RANGE_WEIGHTS, 219 / 255)
    np.testing.assert_allclose(luma.STUDIO_WEIGHTS, scaled, rtol=0, atol=1e-15)
    assert sum(luma.STUDIO_WEIGHTS) * luma.STUDIO_TO_FULL_RANGE == pytest.approx(1)
    assert 255 * (sum(luma.STUDIO_WEIGHTS) + luma.STUDIO_BLACK) == pytest.approx(235)


def test_tensorflows_weights_are_rounded():
    assert sum(luma.FULL_RANGE_WEIGHTS) == pytest.approx(1)
    np.testing.assert_allclose(luma.TENSORFLOW_WEIGHTS, luma.FULL_RANGE_WEIGHTS, atol=1.01e-4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_weighted_channels(dtype):
    images = np.random.default_rng(0).random((2, 3, 4, 3), np.float32)
    result = luma.weighted_channels(jnp.asarray(images, dtype), (0.5, -1.0, 2.0), 0.25)
    assert result.dtype == dtype and result.shape == (2, 3, 4, 1)
    tolerance = 1e-6 if dtype == jnp.float32 else 0.05
    expected = images @ np.float32([0.5, -1, 2]) + 0.25
    np.testing.assert_allclose(np.float32(result[..., 0]), expected, atol=tolerance)
