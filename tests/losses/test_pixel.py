import numpy as np

from ppcn_jax.losses import l1, log_mse, mae, perceptual
from ppcn_jax.metrics import psnr


def test_by_hand():
    target = np.zeros((2, 2, 3, 1), np.float32)
    prediction = target.copy()
    prediction[1, 0, :, 0] = [1, -2, 3]
    np.testing.assert_allclose(l1(prediction, target), [0, 6])
    np.testing.assert_allclose(mae(prediction, target), [0, 1])
    np.testing.assert_allclose(log_mse(prediction, target, floor=7 / 3), [0, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(perceptual(prediction, target), [0, 14 / 6], rtol=1e-6)


def test_log_mse_is_psnr():
    rng = np.random.default_rng(0)
    prediction, target = rng.random((2, 5, 6, 7, 3), np.float32)
    decibels = -10 / np.log(10) * (log_mse(prediction, target) + np.log(1e-4))
    np.testing.assert_allclose(decibels, psnr(prediction, target), atol=0.01)
