"""Protocols for sources of aligned pairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from data.batching.order import Order

if TYPE_CHECKING:
    from tensorflow.data import Dataset


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

    def check(self) -> None:
        """Raise `DataError` for the first pair that cannot be used."""
        ...

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Endless batches, as `data.batching.crops.gather` returns them.

        The data set ends only before a batch that cannot be read.
        """
        ...


@runtime_checkable
class Degrading(Source, Protocol):
    """A source that makes its inputs from its targets; in training, from each crop separately."""

    def target(self, index: int) -> np.ndarray:
        """The full target of a pair: uint8 [H, W, 3], RGB."""
        ...

    def degrade(self, target: np.ndarray) -> np.ndarray:
        """The input for a target or for a crop of one: same shape and type."""
        ...
