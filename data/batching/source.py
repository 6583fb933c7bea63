"""What a source of pairs is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from data.batching.order import Order

if TYPE_CHECKING:
    import tensorflow as tf


@runtime_checkable
class Source(Protocol):
    """Aligned pairs, addressed by index."""

    @property
    def names(self) -> Sequence[str]:
        """What each pair is called."""
        ...

    @property
    def crop(self) -> int | None:
        """Side in pixels of the training crops; None for a test split, read in whole frames."""
        ...

    def __len__(self) -> int:
        """The number of pairs."""
        ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The whole frames (input, target) of a pair: uint8 [H, W, 3], RGB, of equal size."""
        ...


@runtime_checkable
class OnDisk(Source, Protocol):
    """A source whose pairs are decoded anew whenever they are needed."""

    def check(self) -> None:
        """Raise `DataError` if any pair cannot be used."""
        ...

    def dataset(self, order: Order, start_step: int) -> "tf.data.Dataset":
        """Batches from `start_step` on: dictionaries as `data.crops.gather` returns.

        It ends only before a batch that cannot be read.
        """
        ...


@runtime_checkable
class Degrading(Source, Protocol):
    """A source whose inputs are made from its targets: in training from each crop by itself."""

    def target(self, index: int) -> np.ndarray:
        """The whole target of a pair: uint8 [H, W, 3], RGB."""
        ...

    def degrade(self, target: np.ndarray) -> np.ndarray:
        """The input that belongs to a target, or to a crop of one: of the same size."""
        ...
