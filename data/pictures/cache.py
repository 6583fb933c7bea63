"""Decoded pictures kept in RAM, up to a limit."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """The first values that come, as many as there is room for; they stay.

    A set that fits is decoded once. Of one that does not, the same part is always there, whatever
    the order; dropping the oldest would drop each value just before its next use.
    """

    def __init__(self, room: int):
        """Start empty.

        Args:
          room: for values of so many bytes.
        """
        self._values: dict[int, T] = {}
        self._room = room
        self._lock = threading.Lock()

    def get(self, index: int) -> T | None:
        """The value kept under an index, None if there is none."""
        return self._values.get(index)

    def keep(self, index: int, value: T, size: int) -> None:
        """Keep a value if there is room.

        Args:
          index: what to find it by.
          value: any value.
          size: what it takes, in bytes.
        """
        with self._lock:
            if size <= self._room and index not in self._values:
                self._values[index] = value
                self._room -= size
