"""Protocols for sources of aligned pairs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from data.batching.order import Order
from data.errors import ALONE, Share

if TYPE_CHECKING:
    from tensorflow.data import Dataset


# Maps the shape of a pair's frames to the rows and columns of a crop. `gather` draws it anywhere in
# a frame of this shape, by a pure function of the seed and the position.
Window = Callable[[tuple[int, ...]], tuple[slice, slice]]


@runtime_checkable
class Source(Protocol):
    """Aligned pairs, addressed by index."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the pairs, for messages and records."""
        ...

    @property
    def crop(self) -> int | None:
        """Side of the training crops in pixels; None for a test split, read as full frames."""
        ...

    def __len__(self) -> int:
        """The number of pairs."""
        ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The full frames (input, target) of a pair: uint8 [H, W, 3], RGB, of equal size.

        Raises `DataError` if the pair cannot be read.
        """
        ...


@runtime_checkable
class OnDisk(Source, Protocol):
    """A source that decodes pairs each time they are needed."""

    def check(self, share: Share = ALONE) -> None:
        """Raise one `DataError` for all pairs that cannot be used; `share` is this process's."""
        ...

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Endless batches, as `data.batching.crops.gather` returns them.

        The data set ends only before a batch that cannot be read.
        """
        ...


@runtime_checkable
class Cutting(Source, Protocol):
    """A source that cuts its own crops: without reading full frames, or with inputs made of them."""

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The crops (input, target) of a pair: uint8 [crop, crop, 3], RGB.

        Raises `DataError` if the pair cannot be read.
        """
        ...


@runtime_checkable
class Placing(Source, Protocol):
    """A source that decides where in its frames a crop may lie."""

    def place(self, index: int, window: Window) -> Window:
        """A window where crops of a pair may lie, drawn with one that may lie anywhere."""
        ...


@runtime_checkable
class FromFiles(Source, Protocol):
    """A source whose records are files, which may be replaced while a run is stopped."""

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """A text that is very likely to differ for other pictures; "" if it is unknown.

        `thorough` also reads the first bytes. Raises `OSError` if a file is missing.
        """
        ...
