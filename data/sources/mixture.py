"""Two sources of training crops as one, mixed by a share."""

import math
from typing import TYPE_CHECKING

import numpy as np

from data.batching.crops import cropper, gather_in_tensorflow
from data.batching.order import Order
from data.batching.source import FromFiles, OnDisk, Source, Window
from data.errors import ALONE, Share

if TYPE_CHECKING:
    from tensorflow.data import Dataset


class Mixture:
    """Crops of two sources. An epoch has each pair of both at least once, and some repeatedly.

    Attributes:
      names: names of the pairs in an epoch, with repetitions.
      crop: side of the training crops in pixels.
    """

    def __init__(self, first: Source, second: Source, *, share: float):
        """Mix two sources with the same crop.

        Args:
          first: a training source.
          second: another one.
          share: that of the second in all crops, between 0 and 1.
        """
        # Whole passes over the second that leave room for at least one pass over the first.
        passes = math.ceil(len(first) * share / (1 - share) / len(second))
        self._second_from = round(passes * len(second) * (1 - share) / share)
        self._sources = first, second
        self._croppers = cropper(first), cropper(second)
        counts = self._second_from, passes * len(second)
        self.names = [
            source.names[index % len(source)]
            for source, count in zip(self._sources, counts, strict=True)
            for index in range(count)
        ]
        self.crop = first.crop

    def __len__(self) -> int:
        """The number of pairs in an epoch."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Full frames; see `data.batching.source.Source`."""
        source, index = self._locate(index)
        return source[index]

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Crops of a pair; see `data.batching.source.Cutting`."""
        crop_of = self._croppers[index >= self._second_from]
        return crop_of(self._locate(index)[1], window)

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """See `data.batching.source.FromFiles`."""
        source, index = self._locate(index)
        return source.fingerprint(index, thorough=thorough) if isinstance(source, FromFiles) else ""

    def _locate(self, index: int) -> tuple[Source, int]:
        number = int(index >= self._second_from)
        source = self._sources[number]
        return source, (index - number * self._second_from) % len(source)


class MixtureOnDisk(Mixture):
    """A mixture that is decoded while it is read."""

    def check(self, share: Share = ALONE) -> None:
        """Raise one `DataError` for all pairs of a source that cannot be used."""
        for source in self._sources:
            if isinstance(source, OnDisk):
                source.check(share)

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Batches, decoded and cropped in parallel; see `gather_in_tensorflow`."""
        return gather_in_tensorflow(self, order, start_step)
