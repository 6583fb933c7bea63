"""Sources that are decoded once and kept in RAM."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from data.batching.source import Source
from data.errors import DataError, plural
from data.pictures.memory import available_bytes
from data.pictures.progress import parallel

T = TypeVar("T", bound=np.ndarray | tuple[np.ndarray, ...])


class Decoded(Generic[T]):
    """Pictures, or tuples of pictures, in RAM.

    Attributes:
      names: names of the pictures.
    """

    def __init__(
        self, read: Callable[[int], T], names: Sequence[str], noun: str, *, tolerant: bool
    ):
        """Decode all pictures on all cores.

        Args:
          read: maps an index to the decoded pictures; thread-safe.
          names: names of the pictures.
          noun: what a name stands for, for messages.
          tolerant: a picture that cannot be used raises when it is read, not now.

        Raises:
          DataError: if a picture cannot be used, or they would not fit into the free memory by the
            size of the first.
        """

        def attempt(index: int) -> T | DataError:
            try:
                return read(index)
            except DataError as error:
                if not tolerant:
                    raise
                return error

        self.names = names
        count = len(names)
        first = next((v for v in map(attempt, range(count)) if not isinstance(v, DataError)), ())
        frames = first if isinstance(first, tuple) else (first,)
        needed, available = count * sum(frame.nbytes for frame in frames), available_bytes()
        if available is not None and needed > available:
            raise DataError(
                f"decoding {plural(count, noun)} takes about {needed / 2**30:.1f} GiB, but only "
                f"{available / 2**30:.1f} GiB of memory are available; set in_memory=False"
            )
        self._values = parallel(attempt, range(count), "Decoding into memory")

    def __len__(self) -> int:
        """The number of pictures or tuples."""
        return len(self._values)

    def __getitem__(self, index: int) -> T:
        """The decoded pictures: uint8 [H, W, 3]; raises `DataError` if they cannot be used."""
        value = self._values[index]
        if isinstance(value, DataError):
            raise value
        return value


class InMemory(Decoded[tuple[np.ndarray, np.ndarray]]):
    """A copy of a source in RAM.

    Attributes:
      names: see the source.
      crop: see the source.
    """

    def __init__(self, source: Source, *, tolerant: bool = False):
        """Decode all pairs of a source.

        Args:
          source: the source to copy.
          tolerant: a pair that cannot be used raises when it is read, not now.

        Raises:
          DataError: if a pair cannot be used, or they would not fit into the free memory by the
            size of the first.
        """
        super().__init__(source.__getitem__, source.names, "pair", tolerant=tolerant)
        self.crop = source.crop
