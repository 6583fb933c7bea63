"""Any source, decoded once and kept in RAM."""

import numpy as np

from data.errors import DataError
from data.memory import available_bytes
from data.progress import parallel
from data.protocols import Source


class InMemory:
    """A copy of a source in RAM.

    Attributes:
      names: as the source's.
      crop: as the source's.
    """

    def __init__(self, source: Source):
        """Decode all of a source.

        Args:
          source: what to copy.

        Raises:
          DataError: if a pair cannot be used, or if they would not fit, judged by the first.
        """
        _check_fits(source)
        self.names = source.names
        self.crop = source.crop
        self._pairs = parallel(source.__getitem__, range(len(source)), "Decoding into memory")

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames (input, target) of a pair: uint8 [H, W, 3]."""
        return self._pairs[index]


def _check_fits(source: Source) -> None:
    needed = len(source) * sum(frame.nbytes for frame in source[0])
    available = available_bytes()
    if available is not None and needed > available:
        raise DataError(
            f"{len(source)} decoded pairs take about {needed / 2**30:.1f} GiB and "
            f"{available / 2**30:.1f} GiB of memory are available; set in_memory=False"
        )
