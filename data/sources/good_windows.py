"""The list of good windows that `ppcn-jax pair` writes, and where crops may lie by it.

The list is a JSON file: {"window": side in pixels, "stride": …, "pairs": {name of the input:
[[top, left] of each good window, …]}}.
"""

import json
import pathlib
import zlib

import numpy as np

from data.batching.source import Window
from data.errors import DataError
from data.storage import read_bytes

FILE = "windows.json"
_REMEDY = "make it again with ppcn-jax pair, or remove it to use crops from all parts of the frames"


class GoodWindows:
    """The good windows of all pairs of a folder.

    Crops up to the size of a window lie inside one: the window is drawn uniformly, then the place
    inside it. A larger crop starts at the corner of a window, drawn uniformly from those at which
    good windows cover all of it.

    Attributes:
      path: the file.
    """

    def __init__(self, path: pathlib.Path, crop: int):
        """Read a list, for crops of `crop` pixels; raises `DataError` if it is damaged."""
        self.path = path
        self._crop = crop
        try:
            content = json.loads(read_bytes(path))
            self._side = content["window"]
            if type(self._side) is not int or self._side < 1:
                raise ValueError(f"window is {self._side!r}, not a number of pixels")
            self._corners = {name: _corners(of) for name, of in content["pairs"].items()}
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); {_REMEDY}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path} is not a list of good windows ({reason}); {_REMEDY}"
            ) from error
        self._reach = {
            name: of.max(0, initial=0) + self._side for name, of in self._corners.items()
        }
        if crop > self._side:
            self._corners = {name: self._covered(of) for name, of in self._corners.items()}
        # A crop has so many places in each direction, from each corner on.
        self._places = max(self._side - crop, 0) + 1

    def __contains__(self, name: str) -> bool:
        """Return True if a pair is in the list."""
        return name in self._corners

    def has_room(self, name: str) -> bool:
        """Return True if there is a place for a crop in a pair."""
        return len(self._corners[name]) > 0

    def place(self, name: str, window: Window) -> Window:
        """The window of a crop in a pair; see `data.batching.source.Placing`.

        The pair must be in the list and have room.
        """
        corners, places, crop = self._corners[name], self._places, self._crop

        def inside(shape: tuple[int, ...]) -> tuple[slice, slice]:
            # One draw decides about everything: anywhere in a row of as many places as there are.
            count = len(corners) * places**2
            number = window((crop, crop + count - 1, 3))[1].start
            corner, place = divmod(number, places**2)
            top, left = (corners[corner] + divmod(place, places)).tolist()
            if top + crop > shape[0] or left + crop > shape[1]:
                raise self._misfit(name, shape)
            return slice(top, top + crop), slice(left, left + crop)

        return inside

    def check_frame(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise `DataError` if a window of a pair goes beyond its frames."""
        if (self._reach[name] > shape[:2]).any():
            raise self._misfit(name, shape)

    def fingerprint(self, name: str) -> str:
        """A text that differs for other places of a pair's crops."""
        content = f"{self._side} {self._corners[name].tolist()}"
        return f"{zlib.crc32(content.encode()):08x}"

    def _misfit(self, name: str, shape: tuple[int, ...]) -> DataError:
        return DataError(
            f"{self.path}: a good window of {name} goes beyond its frame of {shape[1]}x{shape[0]} "
            f"pixels; {_REMEDY}"
        )

    def _covered(self, corners: np.ndarray) -> np.ndarray:
        """The corners at which windows cover a whole crop that is larger than a window."""
        if not len(corners):
            return corners
        # Between neighboring edges of windows and crops, all pixels are covered or none is.
        offsets = 0, self._side, self._crop
        rows, columns = (
            np.unique(np.concatenate([side + offset for offset in offsets])) for side in corners.T
        )
        (top, bottom, lower), (left, right, further) = (
            [np.searchsorted(edges, side + offset) for offset in offsets]
            for edges, side in zip((rows, columns), corners.T, strict=True)
        )
        changes = np.zeros((len(rows), len(columns)), np.int32)
        for row, column, sign in (
            (top, left, 1),
            (top, right, -1),
            (bottom, left, -1),
            (bottom, right, 1),
        ):
            np.add.at(changes, (row, column), sign)
        empty = changes.cumsum(0).cumsum(1) == 0
        sums = np.pad(empty, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        holes = sums[lower, further] - sums[top, further] - sums[lower, left] + sums[top, left]
        return corners[holes == 0]


def _corners(pairs: object) -> np.ndarray:
    """Corners (top, left), sorted and without duplicates: int64 [N, 2]."""
    corners = np.array(pairs)
    if corners.size == 0 and pairs == []:
        return np.empty((0, 2), np.int64)
    if corners.ndim != 2 or corners.shape[1] != 2 or corners.dtype.kind != "i":
        raise ValueError("the windows of a pair must be [[top, left], ...], whole numbers")
    if corners.min() < 0 or corners.max() > np.iinfo(np.int32).max:
        raise ValueError("a window lies outside of every frame")
    return np.unique(corners, axis=0)
