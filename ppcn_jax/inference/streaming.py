"""Networks on images of any size: row bands with the statistics of the whole image.

A network that normalizes by statistics of the whole image cannot be run tile by tile. Instead, the
image is passed over several times, in bands of rows: each pass gathers the next statistic that the
network needs, given those of the passes before, and the last pass computes the output. A band is
computed together with the rows above and below it that its output depends on. The image is continued
beyond its edges as the network continues whole images (`borders.py`), row by row. The result equals
that of the whole image up to the order of float32 sums.

Where memory allows, the results of some layers are kept from one pass to the next, and what leads
to them is not computed a second time (`kept.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ppcn_jax.inference.borders import continue_by_reflection
from ppcn_jax.inference.kept import (
    Kept,
    Place,
    kept_channels,
    kept_moves,
    kept_results,
    needs_image,
)
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.structure import Structure, statistic_names
from ppcn_jax.inference.windows import Window, windows_of
from ppcn_jax.photos.levels import to_float
from ppcn_jax.runtime.memory import available_bytes

# Mean and variance of statistics of the whole image, float32 `[1, 1, 1, C]` each, by name.
Known = Mapping[str, tuple[np.ndarray, np.ndarray]]
# Results of layers, `[rows, W, C]`, by name.
Results = Mapping[str, Any]


class Programs(Protocol):
    """A network in some runtime, ready to run on images and on bands of them.

    Attributes:
        border: pixels by which the image of the bands is continued on each side.
        even: choose bands of an image as equal as possible.
    """

    border: int
    even: bool

    @property
    def structure(self) -> Structure:
        """The structure of the network."""
        ...

    def whole(self, image: np.ndarray) -> np.ndarray:
        """The output for a complete image of moderate size.

        Args:
            image: float32 `[H, W, 3]` in [0, 1], H and W >= 16.

        Returns:
            float32 `[H, W, 3]`, unclipped.
        """
        ...

    def default_band(self, width: int) -> int:
        """Rows of an image of this width to compute at a time."""
        ...

    def moments(
        self, known: Known, rows: np.ndarray, given: Results, kept: Mapping[str, np.ndarray]
    ) -> tuple[Any, Any]:
        """The mean and variance of rows that the first unknown statistic is taken of.

        Args:
            known: the statistics before.
            rows: float32 `[rows, W + 2 border, 3]`, of the continued image.
            given: results of layers for these rows, which are not computed again.
            kept: by the names of layers that come before this statistic, arrays
                `[rows, W + 2 border, C]` for their results.

        Returns:
            Both over the columns inside the border, `[rows, 1, C]`.
        """
        ...

    def output(self, known: Known, rows: np.ndarray, given: Results) -> Any:
        """The output inside the border, `[rows, W, 3]`, unclipped, given all statistics."""
        ...


def can_keep(programs: Programs, height: int, width: int, band: int) -> bool:
    """Check that the results that `stream` may keep fit into a quarter of the available memory.

    Args:
        programs: the network.
        height: of the image, in pixels.
        width: of the image, in pixels.
        band: rows that are computed at a time.
    """
    structure, border = programs.structure, programs.border
    height, width = height + 2 * border, width + 2 * border
    window = min(band + 2 * reach(structure), height)
    rows = height + kept_moves(structure) * window
    return 4 * rows * width * kept_channels(structure) <= available_bytes() // 4


def stream(
    programs: Programs, image: np.ndarray, *, band: int, keep: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """A network's output for one image, from the top down.

    Args:
        programs: the network.
        image: `[H, W, 3]`, uint8, uint16 or float in [0, 1]; for a super-resolver of scale s, H is
            a multiple of s.
        band: rows that are computed at a time.
        keep: keep `kept_results` between passes, in host memory, float32 `[H, W, C]` each.

    Returns:
        An iterator over (first row, float32 `[rows, W, 3]`), unclipped.

    Raises:
        ValueError: a band below 1.
    """
    if band < 1:
        raise ValueError(f"band must be at least 1, got {band}")
    structure, border = programs.structure, programs.border
    names = statistic_names(structure)
    plan = kept_results(structure) if keep else ({},) * len(names)
    # Of the continued image, to which windows, bands and results refer.
    height, width = (side + 2 * border for side in image.shape[:2])
    known: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    results: dict[str, np.ndarray] = {}

    def windows(*wanted: str) -> Iterator[Window]:
        return windows_of(structure, height, band, results, wanted, even=programs.even)

    def inputs(window: Window, *wanted: str) -> tuple[np.ndarray, Results]:
        given = {name: window.cut(result) for name, result in results.items()}
        if not needs_image(structure, frozenset(results), frozenset(wanted)):
            shape = (window.bottom - window.top, width, 3)
            return np.broadcast_to(np.float32(0), shape), given
        return to_float(continue_by_reflection(image, border, window.top, window.bottom)), given

    memories = _Memories(plan, height, width, next(windows()))
    for statistic, kept in zip(names, plan, strict=True):
        moments = []
        new = {name: memories.rows(place) for name, place in kept.items() if name not in results}
        for window in windows(statistic, *new):
            # A window begins with rows of the band before, and lacks some that these depend on.
            above = {name: result[window.top : window.first].copy() for name, result in new.items()}
            places = {name: window.cut(result) for name, result in new.items()}
            both = programs.moments(known, *inputs(window, statistic, *new), places)
            moments.append(np.stack([window.band(moment) for moment in both]))
            for name, rows in above.items():
                new[name][window.top : window.first] = rows
        of_rows = np.concatenate(moments, axis=1)[:, border : height - border]
        known[statistic] = moments_of_image(*of_rows.astype(np.float64))
        results = {name: (results | new)[name] for name in kept}
        memories.drop_except(kept)
    for window in windows():
        rows = window.band(programs.output(known, *inputs(window)))
        first, last = max(window.first, border), min(window.last, height - border)
        if first < last:
            rows = rows[first - window.first : last - window.first]
            yield first - border, rows


class _Memories:
    """Memories for results of all rows of an image, one result after the other in each.

    A result lies above the one before it in memory, by as much as a window: its rows are written
    from the top down over those that no window reads any more.

    Args:
        plan: what is kept after each pass.
        height: of the results.
        width: of the results.
        window: one as high as any.
    """

    def __init__(self, plan: Sequence[Kept], height: int, width: int, window: Window):
        self._shape, self._step = (height, width), window.bottom - window.top
        places = [place for kept in plan for place in kept.values()]
        self._last = {place.memory: place for place in sorted(places)}
        self._arrays: dict[int, np.ndarray] = {}

    def rows(self, place: Place) -> np.ndarray:
        """The rows of a result, `[H, W, C]`."""
        height, width = self._shape
        last = self._last[place.memory]
        if place.memory not in self._arrays:
            size = (height + last.before * self._step, width, place.channels)
            self._arrays[place.memory] = np.empty(size, np.float32)
        first = (last.before - place.before) * self._step
        return self._arrays[place.memory][first : first + height]

    def drop_except(self, kept: Kept) -> None:
        """Drop the memories that hold nothing of what is kept."""
        used = {place.memory for place in kept.values()}
        self._arrays = {number: self._arrays[number] for number in used}


def moments_of_image(means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance, `[1, 1, 1, C]`, from those of each row, `[H, 1, C]`."""
    moments = means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)
    mean, variance = (moment[None, None].astype(np.float32) for moment in moments)
    return mean, variance
