"""Any source, decoded once and kept in RAM."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from data.errors import DataError
from data.memory import available_bytes
from data.progress import parallel
from data.protocols import Source

T = TypeVar("T", bound=np.ndarray | tuple[np.ndarray, ...])


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
        self.names = source.names
        self.crop = source.crop
        self._pairs = decode_all(source.__getitem__, len(source), "pairs")

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames (input, target) of a pair: uint8 [H, W, 3]."""
        return self._pairs[index]


def decode_all(read: Callable[[int], T], count: int, what: str) -> list[T]:
    """Decode pictures into RAM, on all cores.

    Args:
      read: index -> a picture, or a tuple of some; thread-safe.
      count: how many there are.
      what: what to call them in an error.

    Returns:
      All of them.

    Raises:
      DataError: if they would not fit, judged by the first.
    """
    first = read(0)
    frames = first if isinstance(first, tuple) else (first,)
    needed, available = count * sum(frame.nbytes for frame in frames), available_bytes()
    if available is not None and needed > available:
        raise DataError(
            f"{count} decoded {what} take about {needed / 2**30:.1f} GiB and "
            f"{available / 2**30:.1f} GiB of memory are available; set in_memory=False"
        )
    return parallel(read, range(count), "Decoding into memory")
