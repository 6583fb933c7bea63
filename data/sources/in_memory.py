"""Sources that are decoded once and kept in RAM."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from data.batching.source import FromFiles, Placing, Source, Window
from data.errors import DataError, plural
from data.pictures.memory import available_bytes
from data.pictures.progress import parallel

Fingerprint = Callable[..., str]
T = TypeVar("T", bound=np.ndarray | tuple[np.ndarray, ...])


class Decoded(Generic[T]):
    """Pictures, or tuples of pictures, in RAM.

    Attributes:
      names: names of the pictures.
    """

    def __init__(
        self,
        read: Callable[[int], T],
        names: Sequence[str],
        noun: str,
        *,
        tolerant: bool,
        fingerprint: Fingerprint | None = None,
    ):
        """Decode all pictures on all cores.

        Args:
          read: maps an index to the decoded pictures; thread-safe.
          names: names of the pictures.
          noun: what a name stands for, for messages.
          tolerant: a picture that cannot be used raises when it is read, not now.
          fingerprint: see `data.batching.source.FromFiles`, if the pictures are files.

        Raises:
          DataError: for all pictures that cannot be used, or if they would not fit into the free
            memory by the size of the first.
        """

        def attempt(index: int) -> T | DataError:
            try:
                return read(index)
            except DataError as error:
                return error

        self.names = names
        self._fingerprint = fingerprint
        count = len(names)
        first = next((v for v in map(attempt, range(count)) if not isinstance(v, DataError)), ())
        frames = first if isinstance(first, tuple) else (first,)
        needed, available = count * sum(frame.nbytes for frame in frames), available_bytes()
        if available is not None and needed > available:
            raise DataError(
                f"decoding {plural(count, noun)} takes about {needed / 2**30:.1f} GiB, but only "
                f"{available / 2**30:.1f} GiB of memory are available; set in_memory=False"
            )
        decode = attempt if tolerant else read
        self._values: list[T | DataError] = parallel(decode, range(count), "Decoding into memory")

    def __len__(self) -> int:
        """The number of pictures or tuples."""
        return len(self._values)

    def __getitem__(self, index: int) -> T:
        """The decoded pictures: uint8 [H, W, 3]; raises `DataError` if they cannot be used."""
        value = self._values[index]
        if isinstance(value, DataError):
            raise value
        return value

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """See `data.batching.source.FromFiles`."""
        return self._fingerprint(index, thorough=thorough) if self._fingerprint else ""


class InMemory(Decoded[tuple[np.ndarray, np.ndarray]]):
    """A copy of a source in RAM.

    Attributes:
      names: see the source.
      crop: see the source.
      place: see `data.batching.source.Placing`, if the source is one.
    """

    place: Callable[[int, Window], Window]

    def __init__(self, source: Source, *, tolerant: bool = False):
        """Decode all pairs of a source.

        Args:
          source: the source to copy.
          tolerant: a pair that cannot be used raises when it is read, not now.

        Raises:
          DataError: for all pairs that cannot be used, or if they would not fit into the free
            memory by the size of the first.
        """
        super().__init__(
            source.__getitem__,
            source.names,
            "pair",
            tolerant=tolerant,
            fingerprint=source.fingerprint if isinstance(source, FromFiles) else None,
        )
        self.crop = source.crop
        if isinstance(source, Placing):
            self.place = source.place
