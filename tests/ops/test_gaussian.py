import jax
import numpy as np
import pytest
from scipy import signal

from ppcn_jax.ops import gaussian
from ppcn_jax.ops.gaussian import filter_channels, gaussian_window
from tests import references


@pytest.mark.parametrize(("size", "sigma"), [(11, 1.5), (21, 3.0), (8, 1.1), (1, 2.0)])
def test_gaussian_window(size, sigma):
    window = gaussian_window(size, sigma)
    assert window.shape == (size,) and window.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(window, window[::-1], rtol=1e-12)
    expected = references.gaussian_window(size, sigma)
    np.testing.assert_allclose(np.outer(window, window), expected, rtol=1e-10)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("kernel_shape", [(3, 3), (5, 3), (1, 7), (11, 11)], ids=str)
def test_equals_scipy(same, kernel_shape):
    rng = np.random.default_rng(0)
    images, kernel = rng.random((2, 12, 17, 3), np.float32), rng.random(kernel_shape)
    mode = "same" if same else "valid"
    expected = [
        [signal.correlate2d(image[:, :, c], kernel, mode=mode) for c in range(3)]
        for image in images.astype(np.float64)
    ]
    actual = filter_channels(images, kernel, same=same)
    np.testing.assert_allclose(actual, np.moveaxis(expected, 1, 3), rtol=1e-5)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("size", [5, 6])
def test_separable_kernel_equals_its_outer_product(same, size):
    rng = np.random.default_rng(0)
    images, kernel = rng.random((1, 9, 11, 2), np.float32), rng.random(size)
    expected = filter_channels(images, np.outer(kernel, kernel), same=same)
    assert expected.shape[1:3] == ((9, 11) if same else (10 - size, 12 - size))
    np.testing.assert_allclose(filter_channels(images, kernel, same=same), expected, rtol=1e-5)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("size", [1, 6, 11, 41])
@pytest.mark.parametrize("sides", [(257, 45), (50, 320)], ids=str)
def test_large_planes_in_blocks(sides, size, same):
    rng = np.random.default_rng(0)
    images, kernel = rng.random((2, *sides, 1), np.float32), rng.random(size)
    expected = filter_channels(images, np.outer(kernel, kernel), same=same)
    actual = filter_channels(images, kernel, same=same)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_on_a_tpu_planes_of_moderate_sides_are_not_cut_into_blocks(monkeypatch):
    images = np.random.default_rng(0).random((2, 320, 50, 1), np.float32)
    kernel = gaussian_window(11, 1.5)
    filtered = jax.jit(lambda x: filter_channels(x, kernel, same=False))

    def blocks_of(platform, images):
        lowered = filtered.trace(images).lower(lowering_platforms=(platform,)).as_text()
        return lowered.count("stablehlo.concatenate")

    assert [blocks_of(platform, images) for platform in ("tpu", "cpu", "cuda")] == [0, 2, 2]
    assert blocks_of("tpu", np.zeros((1, 1040, 50, 1), np.float32)) == 2
    in_blocks = filtered(images)
    monkeypatch.setattr(gaussian, "LARGEST_BAND", gaussian.LARGEST_BAND_OF_TPU)
    np.testing.assert_allclose(filter_channels(images, kernel, same=False), in_blocks, rtol=1e-6)
