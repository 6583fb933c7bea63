"""Scores in tiles and bands equal those of whole images, of every size."""

import math

import jax
import numpy as np
import pytest

from ppcn_jax import metrics
from ppcn_jax.evaluation import image_scores
from tests import references

WHOLE = {name: jax.jit(getattr(metrics, name)) for name in ("psnr", "ssim", "ms_ssim")}
SHAPES = [(301, 280, 3), (300, 15, 3), (270, 530, 1), (37, 90, 3), (11, 11, 3)]


def pair(shape, seed=0):
    """A photo-like gradient with noise, and the same with more noise and another brightness."""
    rng = np.random.default_rng(seed)
    height, width, _ = shape
    ramp = np.linspace(0, 1, height)[:, None, None] * np.linspace(0.3, 1, width)[:, None]
    target = np.clip(ramp + 0.1 * rng.standard_normal(shape), 0, 1)
    prediction = np.float32(1.1 * target - 0.05 + 0.05 * rng.standard_normal(shape))
    return prediction, np.rint(255 * target).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", WHOLE)
def test_scores_equal_those_of_the_whole_image(name, shape):
    prediction, target = pair(shape)
    score = getattr(image_scores, name)(prediction, target)
    assert isinstance(score, float)
    images = [prediction[None], target[None] / np.float32(255)]
    reference = {
        "psnr": references.psnr,
        "ssim": references.mean_similarity,
        "ms_ssim": references.ms_ssim,
    }[name]
    exact = reference(*map(np.float64, images))[0]
    assert score == pytest.approx(exact, rel=1e-6)
    assert score == pytest.approx(float(WHOLE[name](*images)[0]), rel=2e-6)


@pytest.mark.parametrize("height", [1, 2, 5, 10])
def test_small_images_have_ms_ssim(height):
    prediction, target = pair((height, 40, 3))
    images = [prediction[None], target[None] / np.float32(255)]
    expected = float(WHOLE["ms_ssim"](*images)[0])
    assert image_scores.ms_ssim(prediction, target) == pytest.approx(expected, rel=1e-5)


def test_identical_images():
    _, target = pair((40, 300, 3))
    assert image_scores.psnr(target, target) == math.inf
    assert image_scores.ssim(target, target) == pytest.approx(1, abs=1e-6)
    assert image_scores.ms_ssim(target, target) == pytest.approx(1, abs=1e-6)


def test_inverse_images_have_no_similarity():
    _, target = pair((40, 40, 3))
    assert image_scores.ms_ssim(255 - target, target) == 0
    assert image_scores.ssim(255 - target, target) < 0


@pytest.mark.parametrize("name", WHOLE)
def test_nan_is_not_hidden(name):
    prediction, target = pair((300, 40, 3))
    prediction[299, 39, 2] = np.nan
    assert math.isnan(getattr(image_scores, name)(prediction, target))


def test_sizes_share_one_program():
    image_scores._sums.clear_cache()
    for shape in ((40, 300, 3), (301, 35, 3), (11, 11, 3)):
        image_scores.ms_ssim(*pair(shape))
    assert image_scores._sums._cache_size() == 1


def test_ssim_needs_its_window():
    with pytest.raises(ValueError, match="at least 11 px"):
        image_scores.ssim(*pair((10, 40, 3)))
