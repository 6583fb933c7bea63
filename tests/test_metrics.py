"""Metrics and luma against NumPy float64 references and the released code."""

import jax
import numpy as np
import pytest

from ppcn_jax import metrics
from ppcn_jax.metrics import luma, psnr, psnr_of_mse
from tests import references

# Jitted, because eager evaluation compiles each of the many operations for every size.
ms_ssim = jax.jit(metrics.ms_ssim, static_argnames=("data_range", "per_channel"))
ssim = jax.jit(metrics.ssim, static_argnames="data_range")


def smooth(height, width):
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    return np.stack([rows, columns, 1 - rows * columns], axis=2)[None]


def make_pair(kind, height, width):
    rng = np.random.default_rng(0)
    noise, other = rng.random((2, 1, height, width, 3), np.float32)
    ramp = smooth(height, width)
    return {
        "noise": (noise, other),
        "smooth": (ramp, ramp[:, ::-1]),
        "photo-like": (0.8 * ramp + 0.2 * noise, 0.8 * ramp + 0.2 * other),
        "nearly-identical": (ramp, ramp + 1e-3 * noise),
        "flat": (np.full_like(ramp, 0.25), np.full_like(ramp, 0.75)),
        "nearly-flat": (0.5 + 1e-3 * noise, 0.5 + 1e-3 * other),
        "beyond-the-range": (1.1 * noise - 0.05, noise),
        "inverse": (noise, 1 - noise),
    }[kind]


KINDS = (
    "noise",
    "smooth",
    "photo-like",
    "nearly-identical",
    "flat",
    "nearly-flat",
    "beyond-the-range",
    "inverse",
)
PAIRS = [(kind, 64, 48) for kind in KINDS] + [
    ("photo-like", *size) for size in ((100, 100), (192, 192), (77, 101), (9, 30))
]
all_pairs = pytest.mark.parametrize(("kind", "height", "width"), PAIRS)


@all_pairs
def test_psnr_equals_float64_reference(kind, height, width):
    pair = make_pair(kind, height, width)
    np.testing.assert_allclose(psnr(*pair), references.psnr(*pair), rtol=0, atol=1e-4)


@all_pairs
def test_ms_ssim_equals_float64_reference(kind, height, width):
    pair = make_pair(kind, height, width)
    value = ms_ssim(*pair)
    assert value.shape == (1,) and value.dtype == np.float32
    np.testing.assert_allclose(value, references.ms_ssim(*pair), rtol=0, atol=1e-5)


def test_ms_ssim_per_channel_is_the_mean_of_the_channels():
    image, other = make_pair("photo-like", 64, 48)
    other[..., 0] = 1 - other[..., 0]
    channels = [(image[..., c : c + 1], other[..., c : c + 1]) for c in range(3)]
    expected = np.mean([references.ms_ssim(*pair) for pair in channels], axis=0)
    value = ms_ssim(image, other, per_channel=True)
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)
    assert value - ms_ssim(image, other) > 0.05


@pytest.mark.parametrize(("kind", "height", "width"), [pair for pair in PAIRS if pair[1] >= 11])
def test_ssim_equals_float64_reference(kind, height, width):
    pair = make_pair(kind, height, width)
    value = ssim(*pair)
    assert value.shape == (1,) and value.dtype == np.float32
    np.testing.assert_allclose(value, references.mean_similarity(*pair), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_ssim_of_luma_in_0_to_255_equals_float64_reference(kind):
    # Variances are differences of squares of up to 255^2, and much smaller than those squares.
    pair = [255 * image for image in make_pair(kind, 96, 128)]
    value = ssim(*(luma(image, data_range=255) for image in pair), data_range=255)
    exact = [references.luma(image, data_range=255) for image in pair]
    expected = references.mean_similarity(*exact, data_range=255)
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("data_range", [1, 255])
def test_luma_equals_float64_reference(data_range):
    images = data_range * np.concatenate([make_pair(kind, 32, 24)[0] for kind in KINDS])
    value = luma(images, data_range=data_range)
    assert value.shape == (*images.shape[:3], 1) and value.dtype == np.float32
    expected = references.luma(images, data_range=data_range)
    np.testing.assert_allclose(value, expected, rtol=0, atol=2e-6 * data_range)


def test_luma_of_black_white_and_the_primaries():
    colors = np.float32([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    values = 255 * np.asarray(luma(colors[None, None]))[0, 0, :, 0]
    np.testing.assert_allclose(values, [16, 235, 81.481, 144.553, 40.966], rtol=1e-6)


def test_luma_returns_one_channel_unchanged():
    images = make_pair("noise", 4, 5)[0][..., :1]
    np.testing.assert_array_equal(luma(images), images)


@pytest.mark.parametrize("metric", [psnr, ssim, ms_ssim])
def test_scales_with_data_range(metric):
    pair = make_pair("photo-like", 64, 48)
    scaled = metric(*(255 * image for image in pair), data_range=255)
    np.testing.assert_allclose(scaled, metric(*pair), rtol=1e-5)


@pytest.mark.parametrize("metric", [psnr, ssim, ms_ssim])
def test_row_equals_image_alone(metric):
    kinds = ("noise", "photo-like", "nearly-identical")
    pairs = [make_pair(kind, 64, 48) for kind in kinds]
    together = metric(*(np.concatenate(images) for images in zip(*pairs, strict=True)))
    alone = np.concatenate([metric(*pair) for pair in pairs])
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_identical():
    image = smooth(64, 48)
    np.testing.assert_array_equal(psnr(image, image), np.inf)
    np.testing.assert_allclose(ssim(image, image), 1, atol=1e-6)
    np.testing.assert_allclose(ms_ssim(image, image), 1, atol=1e-6)
    white = np.ones_like(image)
    np.testing.assert_allclose(ms_ssim(white, white), 1, atol=1e-6)


def test_by_hand():
    black = np.zeros((1, 4, 4, 3), np.float32)
    np.testing.assert_allclose(psnr(black, black + 0.1), 20, rtol=1e-6)
    np.testing.assert_allclose(psnr(255 * black, black + 25.5, data_range=255), 20, rtol=1e-6)
    np.testing.assert_allclose(psnr_of_mse(np.float32(0.001)), 30, rtol=1e-6)


def test_negative_similarity_counts_as_zero():
    assert float(ms_ssim(*make_pair("inverse", 64, 48))[0]) == 0


def test_equals_released_code(goldens):
    golden = goldens("losses")
    small = ms_ssim(golden["enhanced"], golden["target"])
    np.testing.assert_allclose(small, golden["np_msssim_per_image"], rtol=0, atol=1e-5)
    big = (golden[f"ms_big_{name}_u8"].astype(np.float32) for name in "ab")
    value = ms_ssim(*big, data_range=255)
    np.testing.assert_allclose(value, golden["np_msssim_big_per_image"], rtol=0, atol=1e-5)
    value = ssim(golden["enhanced"], golden["target"])
    expected = golden["ssim_per_image_float64_numpy"]
    np.testing.assert_allclose(value, expected, rtol=0, atol=2e-6)
    decibel = psnr(np.clip(golden["enhanced"], 0, 1), golden["target"])
    np.testing.assert_allclose(decibel, golden["tf_psnr_per_image"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("metric", [psnr, ssim, ms_ssim])
def test_bad_arguments_raise(metric):
    image = np.zeros((1, 32, 32, 3), np.float32)
    with pytest.raises(TypeError, match="floating.*uint8"):
        metric(image.astype(np.uint8), image)
    with pytest.raises(ValueError, match="rank 4"):
        metric(image[0], image[0])
    with pytest.raises(ValueError, match=r"\(1, 32, 32, 3\) and \(1, 32, 31, 3\)"):
        metric(image, image[:, :, 1:])


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.uint8), TypeError, "floating.*uint8"),
        (np.zeros((4, 4, 3), np.float32), ValueError, "rank 4"),
        (np.zeros((1, 4, 4, 2), np.float32), ValueError, "1 or 3 channels"),
    ],
)
def test_luma_of_bad_arguments_raises(images, error, message):
    with pytest.raises(error, match=message):
        luma(images)


def test_ssim_of_images_smaller_than_the_window_raises():
    image = np.zeros((1, 10, 32, 3), np.float32)
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(image, image)
