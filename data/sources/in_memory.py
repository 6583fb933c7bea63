"""Any source, decoded once and kept in RAM."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from data.batching.source import Source
from data.errors import DataError
from data.pictures.memory import available_bytes
from data.pictures.progress import parallel

T = TypeVar("T", bound=np.ndarray | tuple[np.ndarray, ...])


class InMemory:
    """A copy of a source in RAM.

    Attributes:
      names: as the source's.
      crop: as the source's.
    """

    def __init__(self, source: Source, *, tolerant: bool = False):
        """Decode all of a source.

        Args:
          source: what to copy.
          tolerant: a pair that cannot be used raises when it is asked for, not now.

        Raises:
          DataError: if a pair cannot be used, or if they would not fit, judged by the first.
        """
        self.names = source.names
        self.crop = source.crop
        self._pairs = decode_all(source.__getitem__, len(source), "pairs", tolerant=tolerant)

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames (input, target) of a pair: uint8 [H, W, 3]."""
        return value_of(self._pairs[index])


def decode_all(
    read: Callable[[int], T], count: int, what: str, *, tolerant: bool = False
) -> list[T | DataError]:
    """Decode pictures into RAM, on all cores.

    Args:
      read: index -> a picture, or a tuple of some; thread-safe.
      count: how many there are.
      what: what to call them in an error.
      tolerant: keep the errors of those that cannot be used instead of raising the first.

    Returns:
      All of them; see `value_of`.

    Raises:
      DataError: if one cannot be used, or if they would not fit, judged by the first.
    """

    def attempt(index: int) -> T | DataError:
        try:
            return read(index)
        except DataError as error:
            if not tolerant:
                raise
            return error

    first = next((v for v in map(attempt, range(count)) if not isinstance(v, DataError)), ())
    frames = first if isinstance(first, tuple) else (first,)
    needed, available = count * sum(frame.nbytes for frame in frames), available_bytes()
    if available is not None and needed > available:
        raise DataError(
            f"{count} decoded {what} take about {needed / 2**30:.1f} GiB and "
            f"{available / 2**30:.1f} GiB of memory are available; set in_memory=False"
        )
    return parallel(attempt, range(count), "Decoding into memory")


def value_of(kept: T | DataError) -> T:
    """What `decode_all` has decoded; raises the error where it could not."""
    if isinstance(kept, DataError):
        raise kept
    return kept
