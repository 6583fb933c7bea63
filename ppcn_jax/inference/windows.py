"""Which rows of an image are computed together, in bands with the rows that they depend on."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.structure import Structure
from ppcn_jax.models.definitions import SMALLEST_SIDE


class Window(NamedTuple):
    """The rows `first` to `last` of an image (exclusive), computed from the rows `top` to `bottom`."""

    first: int
    last: int
    top: int
    bottom: int

    def cut(self, rows: np.ndarray) -> np.ndarray:
        """The rows that the band is computed from."""
        return rows[self.top : self.bottom]

    def band(self, rows: np.typing.ArrayLike) -> np.ndarray:
        """The band, out of the rows `top` to `bottom`."""
        return np.asarray(rows)[self.first - self.top : self.last - self.top]


def windows_of(
    structure: Structure,
    height: int,
    band: int,
    given: Iterable[str] = (),
    wanted: Iterable[str] = (),
    *,
    even: bool = True,
) -> Iterator[Window]:
    """Bands of an image, and the rows that they are computed from if some results are given.

    What is computed is the output, or what is `wanted`; see `reach`.

    All windows have the same height, so that they share a compiled program. Even bands are as
    equal as possible, so that the last window repeats few rows of the one before; the height of
    others depends on that of the image only if that is smaller.
    """
    if even:
        band = -(-height // -(-height // band))
    multiple = structure.scale  # strided networks are aligned to multiples of it
    around = -(-reach(structure, frozenset(given), frozenset(wanted)) // multiple) * multiple
    band = -(-band // multiple) * multiple
    window = min(max(band + 2 * around, SMALLEST_SIDE), height)
    for first in range(0, height, band):
        top = min(max(first - around, 0), height - window)
        yield Window(first, min(first + band, height), top, top + window)
