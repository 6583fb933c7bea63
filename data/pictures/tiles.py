"""Files of decoded frames in square tiles, so that a crop reads only what it shows.

A file holds one or several frames of the same size: a header (mark, number, height and width of the
frames), then the tiles of each frame in reading order, each followed by its CRC-32. The tiles at
the right and lower edges are filled up with zeros. There is no compression.
"""

import os
import pathlib
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

_SIDE = 64  # px; a crop of 100 px then reads 80 KB, where rows of 4000 px would be 1.2 MB
_TILE = np.dtype([("pixels", "u1", (_SIDE, _SIDE, 3)), ("crc", "<u4")])
_HEADER = struct.Struct("<8s3I")
_MARK = b"ppcntil1"

Window = Callable[[tuple[int, ...]], tuple[slice, slice]]


class DamagedError(Exception):
    """A file is truncated or altered."""


def file_size(frames: Sequence[np.ndarray]) -> int:
    """Bytes of the file that `write_tiles` makes."""
    rows, columns = _counts(*frames[0].shape[:2])
    return _HEADER.size + len(frames) * rows * columns * _TILE.itemsize


def write_tiles(path: pathlib.Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames of equal size, uint8 [H, W, 3]; raises `OSError`."""
    height, width, _ = frames[0].shape
    rows, columns = _counts(height, width)
    strip = np.zeros((_SIDE, columns * _SIDE, 3), np.uint8)
    tiles = np.empty(columns, _TILE)
    with path.open("wb") as file:
        file.write(_HEADER.pack(_MARK, len(frames), height, width))
        for frame in frames:
            for row in range(rows):
                part = frame[row * _SIDE : (row + 1) * _SIDE]
                strip[: len(part), :width] = part
                strip[len(part) :] = 0
                tiles["pixels"] = strip.reshape(_SIDE, columns, _SIDE, 3).swapaxes(0, 1)
                tiles["crc"] = [zlib.crc32(pixels) for pixels in tiles["pixels"]]
                file.write(tiles.tobytes())


def read_window(path: pathlib.Path, window: Window) -> tuple[np.ndarray, ...]:
    """Read the same window of all frames in a file.

    Args:
      path: the file.
      window: maps the shape of the frames to (rows, columns) of the window, without steps.

    Returns:
      The windows: uint8 [h, w, 3].

    Raises:
      FileNotFoundError: there is no such file.
      DamagedError: the file is truncated or altered.
      OSError: the file cannot be read.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        header = os.pread(file, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            raise DamagedError(f"{path} is truncated")
        mark, count, height, width = _HEADER.unpack(header)
        rows, columns = _counts(height, width)
        size = _HEADER.size + count * rows * columns * _TILE.itemsize
        if mark != _MARK or os.fstat(file).st_size != size:
            raise DamagedError(f"{path} is truncated or altered")
        place = window((height, width, 3))
        return tuple(
            _read(file, path, frame * rows, columns, *place, (height, width))
            for frame in range(count)
        )
    finally:
        os.close(file)


def _read(
    file: int,
    path: pathlib.Path,
    first_row: int,
    columns: int,
    down: slice,
    across: slice,
    sides: tuple[int, int],
) -> np.ndarray:
    (top, bottom, _), (left, right, _) = down.indices(sides[0]), across.indices(sides[1])
    upper, lower = top // _SIDE, -(-bottom // _SIDE)
    first, last = left // _SIDE, -(-right // _SIDE)
    pixels = np.empty(((lower - upper) * _SIDE, (last - first) * _SIDE, 3), np.uint8)
    for row in range(upper, lower):
        offset = _HEADER.size + ((first_row + row) * columns + first) * _TILE.itemsize
        content = os.pread(file, (last - first) * _TILE.itemsize, offset)
        if len(content) != (last - first) * _TILE.itemsize:
            raise DamagedError(f"{path} is truncated")
        tiles = np.frombuffer(content, _TILE)
        if any(zlib.crc32(tile["pixels"]) != tile["crc"] for tile in tiles):
            raise DamagedError(f"{path} is altered")
        strip = pixels[(row - upper) * _SIDE :][:_SIDE]
        strip.reshape(_SIDE, last - first, _SIDE, 3)[:] = tiles["pixels"].swapaxes(0, 1)
    return pixels[top - upper * _SIDE :, left - first * _SIDE :][: bottom - top, : right - left]


def _counts(height: int, width: int) -> tuple[int, int]:
    """Number of tiles down and across."""
    return -(-height // _SIDE), -(-width // _SIDE)
