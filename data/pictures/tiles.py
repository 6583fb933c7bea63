"""Files of decoded frames in square tiles, so that a crop reads only what it shows.

A file holds one or several frames of the same size: a header (mark, number, height and width of the
frames), then the tiles in reading order. A tile has the pixels of all frames at its place and their
CRC-32. Tiles at the right and lower edges are filled up with zeros. There is no compression.
"""

import os
import pathlib
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

_SIDE = 64  # px; a crop of 100 px of a pair then reads 160 KB; rows of 4000 px would be 2.4 MB
_HEADER = struct.Struct("<8s3I")
_MARK = b"ppcntil1"

Window = Callable[[tuple[int, ...]], tuple[slice, slice]]


class DamagedError(Exception):
    """A file is truncated or altered."""


def file_size(frames: Sequence[np.ndarray]) -> int:
    """Bytes of the file that `write_tiles` makes."""
    return _size(len(frames), *frames[0].shape[:2])


def write_tiles(path: pathlib.Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames of equal size, uint8 [H, W, 3]; raises `OSError`."""
    height, width, _ = frames[0].shape
    columns = _count(width)
    strip = np.zeros((_SIDE, columns * _SIDE, 3), np.uint8)
    tiles = np.empty(columns, _tile(len(frames)))
    with path.open("wb") as file:
        file.write(_HEADER.pack(_MARK, len(frames), height, width))
        for top in range(0, height, _SIDE):
            for number, frame in enumerate(frames):
                part = frame[top : top + _SIDE]
                strip[: len(part), :width] = part
                strip[len(part) :] = 0
                pixels = strip.reshape(_SIDE, columns, _SIDE, 3).swapaxes(0, 1)
                tiles["pixels"][:, number] = pixels
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
    with path.open("rb", buffering=0) as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise DamagedError(f"{path} is truncated")
        mark, count, height, width = _HEADER.unpack(header)
        if mark != _MARK or os.fstat(file.fileno()).st_size != _size(count, height, width):
            raise DamagedError(f"{path} is truncated or altered")
        down, across = window((height, width, 3))
        (top, bottom, _), (left, right, _) = down.indices(height), across.indices(width)
        first, last = left // _SIDE, _count(right)
        tile, strips = _tile(count), []
        for row in range(top // _SIDE, _count(bottom)):
            offset = _HEADER.size + (row * _count(width) + first) * tile.itemsize
            file.seek(offset)
            content = file.read((last - first) * tile.itemsize)
            if len(content) != (last - first) * tile.itemsize:
                raise DamagedError(f"{path} is truncated")
            tiles = np.frombuffer(content, tile)
            if any(zlib.crc32(each["pixels"]) != each["crc"] for each in tiles):
                raise DamagedError(f"{path} is altered")
            # From [tile, frame, row, column, channel] to rows of each frame.
            strip = tiles["pixels"].transpose(1, 2, 0, 3, 4)
            strips.append(strip.reshape(count, _SIDE, (last - first) * _SIDE, 3))
    if not strips:
        return tuple(np.empty((0, right - left, 3), np.uint8) for _ in range(count))
    above, beside = top % _SIDE, left % _SIDE
    crops = np.concatenate(strips, axis=1)[:, above:, beside:]
    return tuple(crops[:, : bottom - top, : right - left])


def _tile(frames: int) -> np.dtype:
    return np.dtype([("pixels", "u1", (frames, _SIDE, _SIDE, 3)), ("crc", "<u4")])


def _count(side: int) -> int:
    """Number of tiles that cover a side, px."""
    return -(-side // _SIDE)


def _size(frames: int, height: int, width: int) -> int:
    return _HEADER.size + _count(height) * _count(width) * _tile(frames).itemsize
