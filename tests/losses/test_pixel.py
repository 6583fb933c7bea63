import numpy as np

from ppcn_jax.losses import l1, mae, perceptual


def test_by_hand():
    target = np.zeros((2, 2, 3, 1), np.float32)
    prediction = target.copy()
    prediction[1, 0, :, 0] = [1, -2, 3]
    np.testing.assert_allclose(l1(prediction, target), [0, 6])
    np.testing.assert_allclose(mae(prediction, target), [0, 1])
    np.testing.assert_allclose(perceptual(prediction, target), [0, 14 / 6], rtol=1e-6)
