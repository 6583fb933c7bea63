"""Frames that are decoded once: those that fit stay in RAM, the others in files."""

import collections
import threading
from collections.abc import Callable

import numpy as np

from data.pictures.cache import Cache
from data.pictures.stored_frames import StoredFrames
from data.pictures.tiles import Window

# Frames with fewer crops than this are not stored, because decoding them is cheap.
_SEVERAL = 16


class Frames:
    """Frames of a source: decoded when needed, and kept for the next crop of the same frame.

    The first frames that fit into RAM stay there. In training, the others are stored on disk,
    where other processes and later runs find them too; see `StoredFrames`.
    """

    def __init__(
        self,
        decode: Callable[[int], tuple[np.ndarray, ...]],
        identity: Callable[[int], str],
        *,
        count: int,
        crop: int | None,
        room: int,
    ):
        """Create an empty cache.

        Args:
          decode: maps an index to frames of equal size, uint8 [H, W, 3]; thread-safe.
          identity: maps an index to a text that changes with its frames; raises `OSError` if there
            is no such file.
          count: number of indices.
          crop: side of the crops in pixels; None stores nothing on disk.
          room: bytes in RAM.
        """
        self._decode, self._crop = decode, crop
        self._cache = Cache[tuple[np.ndarray, ...]](room)
        self._stored = None if crop is None else StoredFrames(identity, count)
        # Batches are prepared in parallel and may need the same frames at the same time.
        self._locks: dict[int, threading.Lock] = collections.defaultdict(threading.Lock)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Full frames, from RAM or decoded."""
        frames = self._cache.get(index)
        if frames is None:
            frames = self._decode(index)
            self._cache.keep(index, frames, sum(frame.nbytes for frame in frames))
        return frames

    def load(self, index: int) -> None:
        """Decode the frames of an index if they are neither in RAM nor on disk."""
        shape = None if self._stored is None else self._stored.shape(index)
        # If a frame on disk is smaller than the crop, decoding raises the error.
        if self._crop is None or shape is None or min(shape[:2]) < self._crop:
            self._keep(index)

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, ...]:
        """The same window of all frames of an index; `window` maps their shape to its place."""
        crops = self._kept(index, window)
        if crops is None:
            with self._locks[index]:
                crops = self._kept(index, window) or _cut(self._keep(index), window)
        return crops

    def _kept(self, index: int, window: Window) -> tuple[np.ndarray, ...] | None:
        """The window of frames in RAM or on disk, or None."""
        frames = self._cache.get(index)
        if frames is not None:
            return _cut(frames, window)
        return None if self._stored is None else self._stored.read(index, window)

    def _keep(self, index: int) -> tuple[np.ndarray, ...]:
        """Decode the frames of an index and keep them in RAM or, if it is full, on disk."""
        frames = self[index]
        if self._crop is not None and self._stored is not None and self._cache.get(index) is None:
            height, width, _ = frames[0].shape
            if height * width >= _SEVERAL * self._crop**2:
                self._stored.write(index, frames)
        return frames


def _cut(frames: tuple[np.ndarray, ...], window: Window) -> tuple[np.ndarray, ...]:
    place = window(frames[0].shape)
    return tuple(frame[place] for frame in frames)
