"""Photos whose colors a network spoils: what is said, which strength is advised, what is ignored."""

import numpy as np
import pytest

from ppcn_jax.evaluation.faults import faults
from ppcn_jax.inference.damage import find_damage

GRAY, GREEN, MUSTARD = (0.5, 0.5, 0.5), (0.2, 0.6, 0.2), (0.6, 0.55, 0.15)


def painted(*shares, side=40):
    """Gray, and from the left columns of colors: pairs (share, color)."""
    photo = np.full((side, side, 3), GRAY, np.float32)
    first = 0
    for share, color in shares:
        last = first + round(share * side)
        photo[:, first:last] = color
        first = last
    return photo


def blend(before, after, strength):
    return (1 - strength) * before + strength * after


def test_turned_hues_are_found_with_the_largest_strength_that_avoids_it():
    before, after = painted((0.5, GREEN)), painted((0.5, MUSTARD))
    damage = find_damage(before, after)
    hue = faults(before, after)["hue"]
    assert damage.reason == f"turns hues by {hue:.0f} degrees on average in colorful areas"
    assert 0 < damage.strength < 0.9
    assert damage.advise("--strength") == (
        f"the network {damage.reason}; --strength {damage.strength} keeps more of the photo"
    )
    assert find_damage(before, blend(before, after, damage.strength)) is None
    assert find_damage(before, blend(before, after, damage.strength + 0.1)) is not None


def test_advice_for_a_blend_is_that_for_the_network():
    before, after = painted((0.5, GREEN)), painted((0.5, MUSTARD))
    advised = find_damage(before, after).strength
    damage = find_damage(before, blend(before, after, 0.9), strength=0.9)
    assert damage.strength == advised


def test_lost_colors_and_darkened_whites_are_found():
    before = painted((0.5, GREEN), (0.25, (1, 1, 1)))
    gray, dark = (0.45, 0.5, 0.45), (0.7, 0.7, 0.7)
    lost = find_damage(before, painted((0.5, gray), (0.25, (1, 1, 1))))
    assert lost.reason == "takes the color from 100% of the colorful areas"
    dimmed = find_damage(before, painted((0.5, GREEN), (0.25, dark)))
    assert dimmed.reason == "darkens 100% of the white areas"
    both = find_damage(before, painted((0.5, gray), (0.25, dark)))
    assert both.reason == f"{lost.reason} and {dimmed.reason}"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_judged_as_floats(dtype):
    top = np.iinfo(dtype).max
    before, after = painted((0.5, GREEN)), painted((0.5, MUSTARD))
    integers = [np.rint(top * pixels).astype(dtype) for pixels in (before, after)]
    assert find_damage(*integers) == find_damage(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (painted((0.5, GREEN)), painted((0.5, GREEN))),  # unchanged
        (painted((0.5, GREEN)), painted((0.5, (0.3, 0.75, 0.25)))),  # brighter
        (painted((0.025, GREEN)), painted((0.025, MUSTARD))),  # too small an area
        (painted((0.075, (1, 1, 1))), painted((0.075, GRAY))),  # as small highlights
        (painted(), painted()),  # no colors at all
        (painted((1, GREEN), side=1), painted((1, GREEN), side=1)),
    ],
)
def test_what_does_no_harm_is_not_reported(before, after):
    assert find_damage(before, after) is None


def test_transparent_pixels_do_not_count():
    before, after = painted((0.5, GREEN)), painted((0.5, MUSTARD))
    alpha = np.full((40, 40), 255, np.uint8)
    assert find_damage(before, after, alpha=alpha) == find_damage(before, after)
    alpha[:, :20] = 0
    assert find_damage(before, after, alpha=alpha) is None
    assert find_damage(before, after, alpha=0 * alpha) is None


def test_if_no_strength_helps_the_advice_says_so():
    # The last color is opposite, and every blend is still past the limit in the lost colors.
    before, after = painted((1, (0.5, 0.5, 0.3))), painted((1, (0, 0, 1.0)))
    damage = find_damage(before, after)
    if damage.strength == 0:
        assert damage.advise("strength") == f"the network {damage.reason}, at any strength"
    else:
        assert find_damage(before, blend(before, after, damage.strength)) is None


def test_a_sample_stands_for_a_large_photo():
    rng = np.random.default_rng(0)
    blocks = rng.random((30, 40, 3)).astype(np.float32)
    before = blocks.repeat(50, axis=0).repeat(50, axis=1)
    after = np.clip(np.roll(before, 1, axis=2) * 0.6 + before * 0.4, 0, 1)
    whole = faults(before, after)["hue"]
    assert f"turns hues by {whole:.0f} degrees" in find_damage(before, after).reason


def test_no_copy_is_made_of_a_large_photo():
    # 30 gigapixels, as a view of one: only a sample may be read.
    before = np.broadcast_to(np.array(GREEN, np.float32), (100_000, 100_000, 3))
    after = np.broadcast_to(np.array(MUSTARD, np.float32), before.shape)
    assert find_damage(before, after).strength > 0
