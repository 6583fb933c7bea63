"""Faults of photos: known values, what is not measured, and errors."""

import numpy as np
import pytest

from ppcn_jax.evaluation.faults import FAULTS, faults, measure
from ppcn_jax.photos.cielab import to_cielab

RED, GREEN, GRAY = (0.8, 0.2, 0.2), (0.2, 0.7, 0.2), (0.5, 0.5, 0.5)


def flat(color, side=32):
    return np.full((side, side, 3), color, np.float32)


def noise(amplitude, side=64):
    """A gray picture with noise of a standard deviation, the same pattern for every amplitude."""
    pattern = np.random.default_rng(0).standard_normal((side, side, 1)).astype(np.float32)
    return np.repeat(0.5 + amplitude * pattern, 3, axis=2)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [  # CIELAB of sRGB colors as published in tables of colors, D65
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_cielab_of_known_colors(rgb, expected):
    np.testing.assert_allclose(to_cielab(np.array(rgb)), expected, atol=0.02)


def test_cielab_equals_scikit_image():
    skimage = pytest.importorskip("skimage.color")
    image = np.random.default_rng(0).random((20, 30, 3))
    np.testing.assert_allclose(to_cielab(image), skimage.rgb2lab(image), atol=2e-3)


def test_an_unchanged_photo_has_no_faults():
    photo = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    photo[:, 32:] = 0.95 + noise(0.001)[:, 32:] - 0.5  # bright and smooth
    assert faults(photo, photo) == {
        "hue": 0,
        "hue_over_20": 0,
        "lost": 0,
        "added": 0,
        "dimmed": 0,
        "grain": pytest.approx(1),
        "border": 0,
        "line": 0,
    }


def test_hue_is_the_angle_between_the_colors():
    before, after = to_cielab(np.array(RED)), to_cielab(np.array(GREEN))
    angle = np.degrees(np.arctan2(after[2], after[1]) - np.arctan2(before[2], before[1]))
    photo, changed = flat(RED), flat(RED)
    changed[:16] = GREEN
    result = faults(photo, changed)
    assert result["hue"] == pytest.approx(abs(angle) / 2, rel=1e-4)
    assert result["hue_over_20"] == 0.5
    assert result["lost"] == 0


def test_hue_turns_the_short_way():
    assert faults(flat((0.8, 0.2, 0.5)), flat((0.8, 0.2, 0.45)))["hue"] < 20  # across 0 degrees


def test_color_that_turns_gray_is_lost_and_has_no_hue():
    photo, changed = flat(RED), flat(RED)
    changed[:8] = GRAY
    result = faults(photo, changed)
    assert result["lost"] == 0.25
    assert result["hue"] == 0  # of the rest


def test_color_where_none_was_near_is_added():
    photo = flat(GRAY)
    photo[:, 16:] = RED
    changed = photo.copy()
    changed[:, 10:16] = RED  # within 6 px of red
    assert faults(photo, changed)["added"] == 0
    changed[:, 8:10] = RED
    assert faults(photo, changed)["added"] == 2 / 32
    photo[:, 16:] = 0.55 * np.array(RED) + 0.45 * np.array(GRAY)  # a color becomes stronger
    result = faults(photo, np.where(photo == photo[:, 16:17], RED, photo).astype(np.float32))
    assert result["added"] > 0


def test_highlights_that_darken_are_dimmed():
    photo, changed = flat((0.98, 0.98, 0.98)), flat((0.98, 0.98, 0.98))
    changed[:, :8] = 0.9
    assert faults(photo, changed)["dimmed"] == 0.25


def test_grain_is_the_ratio_of_noise():
    assert faults(noise(0.002), noise(0.005))["grain"] == pytest.approx(2.5, rel=0.01)


def test_border_is_the_growth_of_the_step():
    photo, changed = flat(GRAY), flat(GRAY)
    changed[0] = 0.6  # one of four sides
    step = to_cielab(np.full(3, 0.6))[0] - to_cielab(np.full(3, 0.5))[0]
    result = faults(photo, changed)
    assert result["border"] == result["line"] == pytest.approx(step / 4, rel=1e-4)


def test_a_gain_of_contrast_is_a_border_and_no_line():
    photo = noise(0.05, side=200)
    stretched = 0.5 + 1.3 * (photo - 0.5)
    result = faults(photo, stretched)
    assert result["border"] > 1
    assert abs(result["line"]) < 0.3
    stretched[0] = 1.0
    assert faults(photo, stretched)["line"] > 5


def test_what_a_photo_lacks_is_none():
    result = faults(flat(GRAY, 16), flat(GRAY, 16))
    assert result == dict.fromkeys(FAULTS) | {"added": 0, "border": 0, "line": 0}


def test_maps_show_where_a_fault_is():
    photo, changed = flat(RED), flat(RED)
    changed[:8, :8] = GREEN
    _, maps = measure(photo, changed)
    assert (maps["hue"] > 20).sum() == 64 and (maps["hue"][:8, :8] > 20).all()
    assert np.isnan(maps["dimmed"]).all()


def test_the_output_is_clipped():
    photo, changed = flat((0.98, 0.98, 0.98)), flat((1.3, 1.3, 1.3))
    assert faults(photo, changed) == faults(photo, flat((1, 1, 1)))


@pytest.mark.parametrize("shape", [(32, 31, 3), (32, 32), (32, 32, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expected two images"):
        faults(flat(RED), np.zeros(shape, np.float32))


def test_small_photos_are_refused():
    with pytest.raises(ValueError, match="at least 10 px"):
        faults(flat(RED, 9), flat(RED, 9))


def test_a_warmer_white_balance_counts_as_turned_hues():
    photo = np.concatenate([flat(GREEN), flat((0.3, 0.5, 0.8))])
    assert faults(photo, photo * np.array([1.15, 1, 0.85], np.float32))["hue"] > 5


def test_a_brighter_sky_counts_as_lost_color():
    result = faults(flat((0.5, 0.65, 0.9)), flat((0.85, 0.9, 1.0)))
    assert result["lost"] == 1 and result["hue"] < 5


def test_blocks_of_a_jpeg_count_as_grain():
    photo = 0.5 + noise(0.002) - noise(0)
    blocks = np.random.default_rng(1).normal(0, 0.005, (8, 8, 1)).repeat(8, 0).repeat(8, 1)
    assert faults(photo, photo + blocks)["grain"] > 1.3


def test_colors_added_to_gray_are_not_seen_and_halos_only_as_grain():
    photo = noise(0.002)
    photo[:, 32:] -= 0.3
    tinted, halo = photo * np.array([1.1, 1, 0.8], np.float32), photo.copy()
    halo[:, 30:32], halo[:, 32:34] = 0.7, 0.05
    for changed, grain in ((tinted, 1), (halo, 3)):
        result = faults(photo, changed)
        assert result["hue"] is None and result["dimmed"] is None
        assert result["grain"] == pytest.approx(grain, rel=0.3)
        assert abs(result["border"]) < 0.5


def test_small_areas_of_a_photo_decide_if_only_they_are_colorful():
    photo = flat(GRAY)
    photo[0, :4] = RED
    changed = photo.copy()
    changed[0, :4] = GREEN
    assert faults(photo, changed)["hue_over_20"] == 1
