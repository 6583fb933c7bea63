"""Grays that get a color: what is named, where, and from which strength on it is gone."""

import re

import numpy as np
import pytest

from ppcn_jax.inference.damage import find_damage
from tests.inference.test_damage import GREEN, MUSTARD, blend, painted

RED, DARK_RED = (0.3, 0.02, 0.02), (0.08, 0.02, 0)
SPOT = np.s_[100:120, 60:80]


def photo(color=(0.5, 0.5, 0.5), spot=None, where=SPOT):
    """A photo of 160x120 of one color, with a spot of another."""
    pixels = np.full((160, 120, 3), color, np.float32)
    if spot:
        pixels[where] = spot
    return pixels


def place(damage):
    """The column and the row that are named."""
    named = r"gives gray areas a color, most of all at column (\d+), row (\d+)"
    return map(int, re.fullmatch(named, damage.reason).groups())


@pytest.mark.parametrize(
    ("color", "spot"),
    [((0.5, 0.5, 0.5), GREEN), ((0.95, 0.95, 0.95), (0.9, 1, 0.4)), ((0.01, 0.01, 0.01), RED)],
)
def test_a_colored_spot_is_named_with_its_place_and_a_strength(color, spot):
    before, after = photo(color), photo(color, spot)
    damage = find_damage(before, after)
    column, row = place(damage)
    np.testing.assert_array_equal(after[row, column], np.float32(spot))
    assert 0 < damage.strength < 0.9
    assert find_damage(before, blend(before, after, damage.strength)) is None
    assert find_damage(before, blend(before, after, damage.strength + 0.1)) is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (photo(), photo(spot=GREEN, where=np.s_[100:106, 60:66])),  # a dot
        (photo(), photo(spot=(0.5, 0.55, 0.5))),  # pale
        (photo(GREEN), photo(GREEN, (0.15, 0.7, 0.15))),  # a color that becomes stronger
        (photo(DARK_RED), photo(DARK_RED, (0.6, 0.25, 0.1))),  # a dark color that one can see now
        (photo(), photo((0.9, 0.9, 0.9))),  # stays gray
    ],
)
def test_dots_and_colors_that_were_there_are_not_named(before, after):
    assert find_damage(before, after) is None


def test_a_whole_photo_that_gets_a_color_is_named():
    assert find_damage(photo(), photo(MUSTARD)).strength > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_judged_as_floats(dtype):
    top = np.iinfo(dtype).max
    before, after = photo(), photo(spot=GREEN)
    integers = [np.rint(top * pixels).astype(dtype) for pixels in (before, after)]
    assert find_damage(*integers) == find_damage(before, after)


def test_transparent_spots_do_not_count():
    alpha = np.full((160, 120), 255, np.uint8)
    assert find_damage(photo(), photo(spot=GREEN), alpha=alpha) is not None
    alpha[SPOT] = 0
    assert find_damage(photo(), photo(spot=GREEN), alpha=alpha) is None


def test_grays_are_those_of_srgb():
    def to_srgb(pixels):
        return pixels * np.float32([1, 0.4, 0.2])  # no gray is left

    assert find_damage(photo(), photo(spot=GREEN), to_srgb=to_srgb) is None


def test_all_reasons_are_named():
    before, after = painted((0.5, GREEN)), painted((0.5, MUSTARD), (0.5, RED))
    reason = find_damage(before, after).reason
    assert reason.startswith("turns hues by ")
    assert " and gives gray areas a color, most of all at " in reason


def test_a_sample_stands_for_a_large_photo():
    def enlarged(pixels):  # to 8 megapixels
        return pixels.repeat(20, axis=0).repeat(20, axis=1)

    column, row = place(find_damage(enlarged(photo()), enlarged(photo(spot=GREEN))))
    assert photo(spot=GREEN)[row // 20, column // 20].tolist() == photo(GREEN)[0, 0].tolist()


def test_the_place_lies_inside_the_photo():
    # Only the last two columns, which are less than half a tile.
    before, after = (
        pixels[:34, :34] for pixels in (photo(), photo(spot=GREEN, where=np.s_[:, 32:]))
    )
    assert tuple(place(find_damage(before, after))) == (33, 4)
