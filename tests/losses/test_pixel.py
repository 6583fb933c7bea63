import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.losses import charbonnier, l1, log_mse, mae, perceptual
from ppcn_jax.metrics import psnr


def test_values_computed_by_hand():
    target = np.zeros((2, 2, 3, 1), np.float32)
    prediction = target.copy()
    prediction[1, 0, :, 0] = [1, -2, 3]
    np.testing.assert_allclose(l1(prediction, target), [0, 6])
    np.testing.assert_allclose(mae(prediction, target), [0, 1])
    np.testing.assert_allclose(log_mse(prediction, target, floor=7 / 3), [0, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(perceptual(prediction, target), [0, 14 / 6], rtol=1e-6)


def test_charbonnier_is_absolute_above_epsilon_and_quadratic_below():
    target = np.zeros((2, 3, 4, 3), np.float32)
    large, small = target + 0.5, target + 1e-5
    np.testing.assert_allclose(charbonnier(large, target), 0.499, rtol=1e-5)
    np.testing.assert_allclose(charbonnier(small, target), 1e-10 / 2e-3, rtol=1e-4)


def test_log_mse_follows_psnr():
    rng = np.random.default_rng(0)
    prediction, target = rng.random((2, 5, 6, 7, 3), np.float32)
    decibels = -10 / np.log(10) * (log_mse(prediction, target) + np.log(1e-4))
    np.testing.assert_allclose(decibels, psnr(prediction, target), atol=0.01)


def test_clipped_log_mse_equals_log_mse_of_the_clipped_image():
    rng = np.random.default_rng(0)
    prediction = rng.uniform(-0.5, 1.5, (2, 5, 6, 3)).astype(np.float32)
    target = rng.random((2, 5, 6, 3), np.float32)
    expected = log_mse(np.clip(prediction, 0, 1), target)
    np.testing.assert_allclose(log_mse(prediction, target, clipped=True), expected, rtol=1e-6)


def test_gradient_passes_through_the_clipping_unless_the_target_is_at_the_limit():
    prediction = jnp.asarray([1.25, 1.25, -0.25, -0.25, 0.75]).reshape(1, 1, 5, 1)
    target = jnp.asarray([1.0, 0.5, 0.0, 0.25, 0.5]).reshape(1, 1, 5, 1)
    gradient = jax.grad(lambda y: log_mse(y, target, floor=1.0, clipped=True).sum())(prediction)
    errors = np.array([0, 0.5, 0, -0.25, 0.25])
    expected = 2 * errors / 5 / (1 + np.mean(errors**2))
    np.testing.assert_allclose(gradient.ravel(), expected, atol=1e-7)
