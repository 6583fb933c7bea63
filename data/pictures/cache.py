"""A cache of decoded pictures with a fixed size."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps the first values that fit and never drops one.

    A data set that fits is decoded once. From a larger one, the same part is always cached,
    whatever the order. Dropping the oldest value would drop each one just before its next use.
    """

    def __init__(self, room: int):
        """Create an empty cache for `room` bytes."""
        self._values: dict[int, T] = {}
        self._room = room
        self._lock = threading.Lock()

    def get(self, index: int) -> T | None:
        """The cached value of an index, or None."""
        return self._values.get(index)

    def keep(self, index: int, value: T, size: int) -> None:
        """Cache a value of `size` bytes if there is room."""
        with self._lock:
            if size <= self._room and index not in self._values:
                self._values[index] = value
                self._room -= size
