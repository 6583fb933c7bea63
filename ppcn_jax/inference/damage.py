"""Find photos whose colors a network spoils, and how much of its result can be used.

Only colors are judged: a border line or grain depends on the network more than on the photo, and is
measured by configs/photo_faults.py. Colors are compared in samples of the pixels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ppcn_jax.inference.colored_grays import ColoredGrays
from ppcn_jax.photos.cielab import to_cielab
from ppcn_jax.photos.color_faults import color_fault_maps, mean_where_measured
from ppcn_jax.photos.levels import to_float

# Limits found by eye on 80 photos (BSDS500, City100, public domain), enhanced by the authors' two
# networks and by two others, which spoiled a quarter of them.
#
# Up to a mean turn of 12 degrees, results looked like the photo in another light. Around 15, some
# had a wrong color, others only another blue in the sky; from 18 on nearly all were spoiled: a
# purple sunset turned orange, grass mustard, a turquoise lake pale gray.
_MOST_HUE = 16.0
# Where 20 % and 29 % of the colorful area lost its color, it was pale or a cast to begin with; from
# 35 % on, green trees or blue water had turned gray.
_MOST_LOST = 0.3
# Small highlights often lose 5 L* or more without being missed, even all of them; white clouds that
# did were missed where they filled 14 % of the photo, and not where white filled 7 %.
_MOST_DIMMED = 0.5
# Smaller areas, as shares of the photo, are not judged.
_LEAST_COLORFUL, _LEAST_WHITE = 0.05, 0.1
# Pixels at most that are compared, on a regular grid. In those photos, hues differed from the means
# over all pixels by at most 0.2 degrees, and shares by 0.01.
_SAMPLE = 2**15
_STRENGTHS = [tenths / 10 for tenths in range(9, 0, -1)]


class Damage(NamedTuple):
    """What a network did to the colors of a photo.

    Attributes:
        reason: follows "the network", e.g. "turns hues by 24 degrees on average in colorful areas".
        strength: the largest of 0.9, 0.8, ... 0.1 that avoids it; 0 if none does.
    """

    reason: str
    strength: float

    def advise(self, option: str) -> str:
        """State the damage and what to do, in one line; `option` is how the user sets a strength."""
        if self.strength:
            return f"the network {self.reason}; {option} {self.strength:g} keeps more of the photo"
        return f"the network {self.reason}, at any {option}"


def find_damage(
    before: np.ndarray,
    after: np.ndarray,
    *,
    strength: float = 1.0,
    alpha: np.ndarray | None = None,
    to_srgb: Callable[[np.ndarray], np.ndarray] = to_float,
) -> Damage | None:
    """Judge the colors of an enhanced photo; returns None if they are kept.

    Args:
        before: the photo, `[H, W, 3]`, uint8, uint16 or float in [0, 1].
        after: the result, of the same shape and type.
        strength: with which it was made, see `enhance`; smaller ones are advised.
        alpha: of the photo, `[H, W]`; transparent pixels do not count.
        to_srgb: converts pixels `[..., 3]` to floats in sRGB; by default they are sRGB.
    """
    step = math.ceil(math.sqrt(before.shape[0] * before.shape[1] / _SAMPLE))
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    visible = np.ones(before[grid].shape[:2], bool) if alpha is None else alpha[grid] > 0
    photo, result = (to_srgb(pixels[grid][visible][None])[0] for pixels in (before, after))
    colors = to_cielab(photo)
    grays = ColoredGrays(before, after, alpha, to_srgb)

    def reasons(share: float) -> list[str]:
        # A blend of a blend: the network's own output is not needed.
        found = _spoiled_areas(colors, photo + np.float32(share) * (result - photo))
        if place := grays.place(share):
            column, row = place
            found.append(f"gives gray areas a color, most of all at column {column}, row {row}")
        return found

    found = reasons(1)
    if not found:
        return None
    reason = " and ".join(found)
    weaker = (share for share in _STRENGTHS if share < strength)
    return Damage(reason, next((s for s in weaker if not reasons(s / strength)), 0.0))


def _spoiled_areas(colors: np.ndarray, result: np.ndarray) -> list[str]:
    """What is wrong with large areas of a result `[N, 3]`, as reasons of a `Damage`."""
    maps = color_fault_maps(colors, to_cielab(np.clip(result, 0, 1)))
    hue = _mean_of_area(maps["hue"], _LEAST_COLORFUL)
    lost = _mean_of_area(maps["lost"], _LEAST_COLORFUL)
    dimmed = _mean_of_area(maps["dimmed"], _LEAST_WHITE)
    reasons = []
    if hue > _MOST_HUE:
        reasons.append(f"turns hues by {hue:.0f} degrees on average in colorful areas")
    if lost > _MOST_LOST:
        reasons.append(f"takes the color from {lost:.0%} of the colorful areas")
    if dimmed > _MOST_DIMMED:
        reasons.append(f"darkens {dimmed:.0%} of the white areas")
    return reasons


def _mean_of_area(map: np.ndarray, least: float) -> float:
    """The mean where a map is measured; 0 if that is less than a share `least` of the photo."""
    measured = np.isfinite(map).sum()
    return mean_where_measured(map) or 0.0 if measured >= least * map.size else 0.0
