"""Faults that a network adds to a photo, measured without a reference picture.

A network can score well on test pairs and still turn greens into mustard in a photo with colors
that its training data lack. These measures compare a good photo with what a network makes of it,
in CIELAB (D65), where they see what people complain about:

    field          meaning
    hue            mean angle by which the hue of colorful pixels turns, degrees
    hue_over_20    share of colorful pixels whose hue turns by more than 20 degrees
    lost           share of colorful pixels whose chroma falls below half
    added          share of all pixels that become more colorful, by a chroma of 20, than any was
                   within 6 px: rims in the color of nothing there, or a strong cast
    dimmed         share of bright pixels (L* > 92) that lose more than 5 L*
    grain          standard deviation of L* in smooth 7x7 windows, after over before
    border         how much larger the step of L* from the outermost row or column to the fifth gets
    line           the same, less the part that the growth of such steps elsewhere explains

Colorful pixels have a chroma above 20; their hue is compared where a chroma above 5 is left.
Windows are smooth if their L* deviates by less than 1 and its center is between 3 and 97.

They cannot tell a fault from an intention, and see only what they measure:

* A look that turns hues on purpose also counts: a warmer white balance by 15 % turns green and blue
  by 6 degrees on average, and a color cast that is removed counts as turned hues and lost colors.
  Dark pixels count as much as bright ones, in which the same angle is easier to see.
* A blue sky that becomes brighter without clipping counts as lost color.
* Sharpened texture, halos in the smooth areas beside edges, and blocks of JPEG count as grain.
* Weak casts of gray areas are not seen; nor is wrong skin that stays within 20 degrees, except in
  the mean.
* Any gain of contrast makes the steps at the border larger, as it does everywhere: a gain of 15 %
  counts as a border of 1. `line` is what one sees as a line.
* The size of an area does not matter: a few colorful pixels decide for an otherwise gray photo
  (`inference.damage` therefore ignores small areas), and highlights that dim are often unnoticed.
"""

import numpy as np

from ppcn_jax.photos.cielab import to_cielab
from ppcn_jax.photos.color_faults import COLORFUL, TURNED, color_fault_maps, mean_where_measured

FAULTS = ("hue", "hue_over_20", "lost", "added", "dimmed", "grain", "border", "line")

_WINDOW, _SMOOTH, _MOST_SMOOTH_L, _LEAST_SMOOTH_L = 7, 1, 97, 3  # px, then L*
_FEWEST_SMOOTH = 500  # windows: with fewer, their mean is noise
_NEAR = 6  # px: colors may move and blur a little
_INSIDE = 4  # rows from the outermost row to the one that it is compared with
_FLAT = 1e-3  # L*; smaller steps are those of a flat photo, whose contrast cannot grow


def faults(before: np.ndarray, after: np.ndarray) -> dict[str, float | None]:
    """Measure the faults of one photo.

    Args:
        before: the photo, RGB `[H, W, 3]`, float in [0, 1], H and W >= 10.
        after: the network's output of the same shape; clipped to [0, 1].

    Returns:
        The fields of `FAULTS`; None where a photo has no pixels to measure, for example no
        colorful ones, or at most 500 smooth windows for "grain".

    Raises:
        ValueError: the shapes differ, or are not those of RGB images of at least 10 px a side.
    """
    return measure(before, after)[0]


def measure(
    before: np.ndarray, after: np.ndarray
) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """Measure the faults of one photo, and where they are.

    Arguments and errors are those of `faults`.

    Returns:
        The result of `faults`, and maps `[H, W]` by name, NaN where a fault is not measured:
        "hue" in degrees; "lost", "added" and "dimmed", 0 or 1; "grain", the growth of the deviation
        in the window around a pixel; "border", the growth of the step at the outermost pixels.
    """
    if before.shape != after.shape or before.ndim != 3 or before.shape[2] != 3:
        raise ValueError(f"expected two images [H, W, 3], got {before.shape} and {after.shape}")
    if min(before.shape[:2]) < 2 * (_INSIDE + 1):
        raise ValueError(f"the sides must be at least {2 * (_INSIDE + 1)} px, got {before.shape}")
    a, b = to_cielab(before), to_cielab(np.clip(after, 0, 1))
    light, light_after = a[..., 0], b[..., 0]
    deviation, deviation_after = _deviation(light), _deviation(light_after)
    smooth = (deviation < _SMOOTH) & (light > _LEAST_SMOOTH_L) & (light < _MOST_SMOOTH_L)
    maps = {
        **color_fault_maps(a, b),
        "added": (_chroma(b) > _highest_near(_chroma(a)) + COLORFUL).astype(float),
        "grain": np.where(smooth, deviation_after - deviation, np.nan),
        "border": _border_map(light_after) - _border_map(light),
    }
    hue = maps["hue"][np.isfinite(maps["hue"])]
    values = {
        "hue": mean_where_measured(hue),
        "hue_over_20": mean_where_measured(hue > TURNED),
        "lost": mean_where_measured(maps["lost"]),
        "added": float(maps["added"].mean()),
        "dimmed": mean_where_measured(maps["dimmed"]),
        "grain": None,
        "border": _border_step(light_after) - _border_step(light),
        "line": _border_step(light_after) - _border_step(light) * _growth(light, light_after),
    }
    if smooth.sum() > _FEWEST_SMOOTH:
        # Smooth areas of synthetic pictures do not deviate at all.
        values["grain"] = float(
            deviation_after[smooth].mean() / max(deviation[smooth].mean(), 1e-3)
        )
    return values, maps


def _chroma(lab: np.ndarray) -> np.ndarray:
    return np.hypot(lab[..., 1], lab[..., 2])


def _highest_near(image: np.ndarray) -> np.ndarray:
    """The highest value of `[H, W]` in the square around each pixel."""
    for axis in (0, 1):
        around = [(_NEAR, _NEAR) if axis == a else (0, 0) for a in (0, 1)]
        wide = np.pad(image, around, mode="edge")
        shape = image.shape[axis]
        image = np.max(
            [wide.take(range(first, first + shape), axis) for first in range(2 * _NEAR + 1)], axis=0
        )
    return image


def _deviation(image: np.ndarray) -> np.ndarray:
    """Standard deviation in the window around each pixel of `[H, W]`, continued by reflection."""
    wide = np.pad(image, _WINDOW // 2, mode="symmetric").astype(np.float64)
    wide -= wide.mean()  # small squares lose less precision in sums
    return np.sqrt(np.maximum(_window_means(wide**2) - _window_means(wide) ** 2, 0))


def _window_means(image: np.ndarray) -> np.ndarray:
    n = _WINDOW
    sums = np.pad(image, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return (sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]) / n**2


def _steps(light: np.ndarray) -> list[np.ndarray]:
    """Absolute steps from the pixels at the top, bottom, left and right to those further in."""
    inside = _INSIDE
    pairs = (
        (light[0], light[inside]),
        (light[-1], light[-1 - inside]),
        (light[:, 0], light[:, inside]),
        (light[:, -1], light[:, -1 - inside]),
    )
    return [np.abs(outer - inner) for outer, inner in pairs]


def _border_step(light: np.ndarray) -> float:
    # Each side counts the same, however long it is.
    return float(np.mean([step.mean() for step in _steps(light)]))


def _growth(light: np.ndarray, light_after: np.ndarray) -> float:
    """By what factor steps as long as those at the border grow in the rest of the photo."""
    before, after = (_inner_step(x[1:-1, 1:-1]) for x in (light, light_after))
    return after / before if before > _FLAT else 1.0


def _inner_step(light: np.ndarray) -> float:
    down, across = light[_INSIDE:] - light[:-_INSIDE], light[:, _INSIDE:] - light[:, :-_INSIDE]
    return float(np.mean([np.abs(down).mean(), np.abs(across).mean()]))


def _border_map(light: np.ndarray) -> np.ndarray:
    steps = np.full(light.shape, np.nan)
    steps[0], steps[-1], steps[:, 0], steps[:, -1] = _steps(light)
    return steps
