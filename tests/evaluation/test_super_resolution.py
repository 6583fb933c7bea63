"""Super-resolution protocols: which pixels are scored, at which rounding, and published scores."""

import json

import numpy as np
import pytest

import data
from ppcn_jax.evaluation.evaluate import evaluate, unchanged
from ppcn_jax.evaluation.super_resolution import Degraded, score_luma, score_y, scorer
from ppcn_jax.runtime.errors import InputError
from tests import references


def picture(channels=3, seed=0, height=40, width=36):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_luma_scores_equal_float64_reference(channels):
    target = picture(channels)
    prediction = (1.2 * target / 255 - 0.1).astype(np.float32)  # exceeds [0, 1], is not clipped
    score = score_luma("a.png", prediction, target, border=4)
    pair = [np.float64(x)[None, 4:-4, 4:-4] for x in (prediction, target / 255)]
    if channels == 3:
        pair = [references.luma(x) for x in pair]
    assert score["name"] == "a.png"
    assert score["psnr_y"] == pytest.approx(references.psnr(*pair)[0], abs=1e-4)
    assert score["ssim_y"] == pytest.approx(references.mean_similarity(*pair)[0], abs=1e-5)


def test_uint8_is_scaled_to_floats():
    prediction, target = picture(seed=1), picture()
    expected = score_luma("a", prediction / np.float32(255), target / np.float32(255), border=0)
    assert score_luma("a", prediction, target, border=0) == expected


@pytest.mark.parametrize("border", [0, 3])
def test_border_pixels_are_not_scored(border):
    target = picture()
    prediction = target.copy()
    prediction[:3] = prediction[:, -3:] = 0
    score = score_luma("a", prediction, target, border=border)
    assert (score["psnr_y"] is None) == (border == 3)
    assert (score["ssim_y"] == 1) == (border == 3)
    json.dumps(score, allow_nan=False)


def test_nan_output_raises():
    prediction = np.full((40, 36, 3), np.nan, np.float32)
    with pytest.raises(InputError, match=r"x\.png.*not finite"):
        score_luma("x.png", prediction, picture(), border=4)
    for kernel in ("pillow", "matlab"):
        with pytest.raises(InputError, match=r"x\.png.*not finite"):
            scorer(4, kernel)("x.png", prediction, picture())


def test_unequal_or_small_images_raise():
    with pytest.raises(ValueError, match="differ in shape"):
        score_luma("a", picture(), picture(width=40), border=0)
    with pytest.raises(ValueError, match="at least 11 px"):
        score_luma("a", picture(height=18), picture(height=18), border=4)


def test_matlab_protocol_rounds_images_and_luma():
    target = np.random.default_rng(0).integers(1, 255, (40, 40, 3), np.uint8)
    # An offset of 0.3 pixel values everywhere vanishes in 8 bits.
    output = (target + 0.3).astype(np.float32) / 255
    rounded = scorer(4, "matlab")("a", output, target)
    assert rounded["psnr_y"] is None and rounded["psnr_rgb"] is None
    assert 50 < scorer(4, "pillow")("a", output, target)["psnr_y"] < 65


@pytest.mark.parametrize(
    ("name", "psnr", "ssim"), [("set5", 28.42, 0.8104), ("set14", 26.00, 0.7027)]
)
def test_matlab_bicubic_has_its_published_scores(shared, name, psnr, ssim):
    photos = data.open_test_sets(str(shared / "data" / name))[name]
    pairs = Degraded(photos, scale=4, kernel="matlab")

    def score(*image):
        return score_y(*image, scale=4, kernel="matlab")

    result = evaluate(unchanged, pairs, score=score)
    # Accurate to the last published digit but one.
    assert result["psnr_y"] == pytest.approx(psnr, abs=0.01)
    assert result["ssim_y"] == pytest.approx(ssim, abs=5e-4)
