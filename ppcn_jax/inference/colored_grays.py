"""Find what was gray or black in a photo and has a color in its result."""

import math
from collections.abc import Callable

import numpy as np

from ppcn_jax.photos.cielab import to_cielab

# Pixels at most that are compared: every second row and column of photos up to 4 megapixels.
_SAMPLE = 2**20
# A gray gets a color if its CIELAB chroma exceeds so many times what it was by so much: a faint color
# may become stronger.
_STRONGER, _COLORED = 3, 20
# Dark colors have little chroma: the channels of a gray differ by at most a share of the largest, or
# by what is black.
_SHARE, _BLACK = 0.4, 0.02
# Only pixels whose channels move apart by so much are converted to CIELAB; no color needs less in sRGB.
_APART = 0.05
# A tile of 4x4 compared pixels is colored if a quarter of them is, and fewer tiles are a dot. With these
# limits, all of the 7 results of four networks that were named, for 464 photos, had a color where none
# was: a green rim at the moon, a blue shadow, a red night.
_TILE, _COLORED_PIXELS, _FEWEST_TILES = 4, 4, 3


class ColoredGrays:
    """Grays of a photo that get a color, for any weaker blend of photo and result.

    Arguments are those of `damage.find_damage`.
    """

    def __init__(
        self,
        before: np.ndarray,
        after: np.ndarray,
        alpha: np.ndarray | None,
        to_srgb: Callable[[np.ndarray], np.ndarray],
    ):
        height, width = before.shape[:2]
        step = max(2, math.ceil(math.sqrt(height * width / _SAMPLE)))
        grid = np.s_[step // 2 :: step, step // 2 :: step]
        before, after = before[grid], after[grid]
        top = np.iinfo(before.dtype).max if np.issubdtype(before.dtype, np.integer) else 1
        apart = _spread(after).astype(np.float32) - _spread(before) > _APART * top
        if alpha is not None:
            apart &= alpha[grid] > 0
        photo, result = (to_srgb(pixels[apart][None])[0] for pixels in (before, after))
        gray = _spread(photo) <= _SHARE * photo.max(-1) + _BLACK
        self._photo, self._result = photo[gray], result[gray]
        self._least = _STRONGER * _chroma(self._photo) + _COLORED
        rows, columns = (indices[gray] // _TILE for indices in np.nonzero(apart))
        self._tiles_per_row = -(-before.shape[1] // _TILE)
        self._tiles = rows * self._tiles_per_row + columns
        self._side, self._last = _TILE * step, np.array([width, height]) - 1

    def place(self, share: float = 1.0) -> tuple[int, int] | None:
        """Column and row where most grays get a color; None if there are few.

        Args:
            share: of the result in a blend with the photo.
        """
        blend = self._photo + np.float32(share) * (self._result - self._photo)
        colored = _chroma(np.clip(blend, 0, 1)) > self._least
        counts = np.bincount(self._tiles[colored], minlength=1)
        if (counts >= _COLORED_PIXELS).sum() < _FEWEST_TILES:
            return None
        row, column = divmod(int(counts.argmax()), self._tiles_per_row)
        center = np.array([column, row]) * self._side + self._side // 2
        x, y = np.minimum(center, self._last).tolist()
        return x, y


def _spread(pixels: np.ndarray) -> np.ndarray:
    """The largest difference between the channels of pixels `[..., 3]`."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    largest = np.maximum(np.maximum(red, green), blue)
    difference: np.ndarray = largest - np.minimum(np.minimum(red, green), blue)
    return difference


def _chroma(rgb: np.ndarray) -> np.ndarray:
    _, a, b = np.moveaxis(to_cielab(rgb), -1, 0)
    chroma: np.ndarray = np.hypot(a, b)
    return chroma
