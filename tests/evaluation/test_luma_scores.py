"""Scores on Y: against float64, what is left out at the border, and what is refused."""

import json

import numpy as np
import pytest

from ppcn_jax.evaluation.luma_scores import score_luma
from ppcn_jax.runtime.errors import InputError
from tests import references


def picture(channels=3, seed=0, height=40, width=36):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_float64_reference(channels):
    target = picture(channels)
    prediction = (1.2 * target / 255 - 0.1).astype(np.float32)  # beyond [0, 1], and kept there
    score = score_luma("a.png", prediction, target, border=4)
    pair = [np.float64(x)[None, 4:-4, 4:-4] for x in (prediction, target / 255)]
    if channels == 3:
        pair = [references.luma(x) for x in pair]
    assert score["name"] == "a.png"
    assert score["psnr_y"] == pytest.approx(references.psnr(*pair)[0], abs=1e-4)
    assert score["ssim_y"] == pytest.approx(references.mean_similarity(*pair)[0], abs=1e-5)


def test_bytes_are_levels():
    prediction, target = picture(seed=1), picture()
    expected = score_luma("a", prediction / np.float32(255), target / np.float32(255), border=0)
    assert score_luma("a", prediction, target, border=0) == expected


@pytest.mark.parametrize("border", [0, 3])
def test_the_border_does_not_count(border):
    target = picture()
    prediction = target.copy()
    prediction[:3] = prediction[:, -3:] = 0
    score = score_luma("a", prediction, target, border=border)
    assert (score["psnr_y"] is None) == (border == 3)
    assert (score["ssim_y"] == 1) == (border == 3)
    json.dumps(score, allow_nan=False)


def test_a_network_that_gives_nan_is_not_perfect():
    prediction = np.full((40, 36, 3), np.nan, np.float32)
    with pytest.raises(InputError, match=r"x\.png.*not finite"):
        score_luma("x.png", prediction, picture(), border=4)


def test_images_that_cannot_be_scored():
    with pytest.raises(ValueError, match="differ in shape"):
        score_luma("a", picture(), picture(width=40), border=0)
    with pytest.raises(ValueError, match="at least 11 px"):
        score_luma("a", picture(height=18), picture(height=18), border=4)
