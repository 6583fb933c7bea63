"""Pictures of 16 bits a channel, whose colors Pillow cuts to 8 bits and does not write.

Pillow's decoders do the reading all the same: told that the numbers stand in the other byte order,
they return the low bytes.
"""

import io
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ppcn_jax.runtime.errors import InputError

_PNG_START = 8  # bytes of signature
_STRIP_BYTES = 1 << 20
# The other byte order; N is the machine's own.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
# TIFF tags, and a value of one.
_BITS, _PHOTOMETRIC, _PLANES, _WHITE_IS_ZERO = 258, 262, 284, 0


def is_wide(image: Image.Image) -> bool:
    """Whether a picture has more than 8 bits a channel.

    Args:
        image: opened, not loaded.

    Returns:
        Whether `read_wide` must read it.
    """
    # The raw mode of a TIFF in planes does not tell.
    bits = _tags(image).get(_BITS, ())
    return ";16" in _raw_mode(image) or any(8 < count <= 16 for count in bits)


def read_wide(image: Image.Image, file: BinaryIO) -> np.ndarray:
    """Read 16 bits a channel.

    Args:
        image: opened from `file`, not loaded.
        file: a PNG or TIFF file.

    Returns:
        uint16 `[H, W, C]`, C from 1 (gray) to 4 (RGB and alpha).

    Raises:
        InputError: a kind that is not read here.
        Exception: whatever Pillow raises for what does not decode.
    """
    raw = _raw_mode(image)
    kind, _, order = raw.partition(";16")
    if kind == "I" and order in ("", "B", "L", "N", "R"):
        samples = np.asarray(image).astype(np.uint16)[..., None]
        return 65535 - samples if _tags(image).get(_PHOTOMETRIC) == _WHITE_IS_ZERO else samples
    if kind == "LA" and image.format == "PNG":
        return _read_gray_alpha(file)
    planes = _tags(image).get(_PLANES) == 2
    if kind not in ("RGB", "RGBA") or order not in _SWAPPED or planes:
        stored = f"{raw} in planes" if planes else raw
        raise InputError(
            f"holds 16-bit {image.format} pixels as {stored}: of more than 8 bits a channel only "
            "gray, RGB and RGBA with plain alpha are read; save it as one of these"
        )
    samples = np.asarray(image).astype(np.uint16)
    samples <<= 8
    file.seek(0)
    with Image.open(file, formats=[str(image.format)]) as again:
        tiles = [
            tile._replace(args=_with_raw_mode(tile.args, f"{kind};16{_SWAPPED[order]}"))
            for tile in getattr(again, "tile")  # noqa: B009
        ]
        setattr(again, "tile", tiles)  # noqa: B010
        samples |= np.asarray(again)
    return samples


def with_wide_pixels(png: bytes, samples: np.ndarray) -> bytes:
    """Put 16-bit pixels into a PNG file.

    Args:
        png: any PNG file; its metadata are kept.
        samples: uint16 `[H, W, C]`, C from 1 (gray) to 4 (RGB and alpha).

    Returns:
        The file.
    """
    height, width, channels = samples.shape
    color = (0, 4, 2, 6)[channels - 1]
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    parts = [png[:_PNG_START], _chunk(b"IHDR", header)]
    for kind, content in _chunks(png):
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            parts.append(_chunk(kind, content))
    parts += [_chunk(b"IDAT", strip) for strip in _filtered(samples)]
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    raw = arguments if isinstance(arguments, str) else arguments[0]
    return raw if isinstance(raw, str) else ""


def _tags(image: Image.Image) -> Mapping[int, Any]:
    return getattr(image, "tag_v2", {})


def _with_raw_mode(arguments: Any, raw: str) -> Any:
    return raw if isinstance(arguments, str) else (raw, *arguments[1:])


def _read_gray_alpha(file: BinaryIO) -> np.ndarray:
    # Four bytes a pixel: read as 8-bit RGBA, whose filters work over the same distance.
    file.seek(0)
    png = file.read()
    # Of a header only the kind of pixels changes: after it, width and height.
    header = png[16:24] + bytes([8, 6]) + png[26:29]
    relabelled = png[:_PNG_START] + _chunk(b"IHDR", header) + png[33:]
    with Image.open(io.BytesIO(relabelled), formats=["PNG"]) as image:
        return np.ascontiguousarray(image).view(">u2").astype(np.uint16)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = _PNG_START
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)])


def _filtered(samples: np.ndarray) -> Iterator[bytes]:
    """The compressed rows, each less the average of its left and upper neighbors."""
    height, width, channels = samples.shape
    pixel, row_bytes = 2 * channels, 2 * channels * width
    packer = zlib.compressobj()
    above = np.zeros((1, row_bytes), np.uint8)
    rows = max(1, _STRIP_BYTES // row_bytes)
    for top in range(0, height, rows):
        now = samples[top : top + rows].astype(">u2").view(np.uint8).reshape(-1, row_bytes)
        up = np.concatenate([above, now[:-1]])
        left = np.pad(now, ((0, 0), (pixel, 0)))[:, :row_bytes]
        average = (up.astype(np.uint16) + left) // 2
        lines = np.full((len(now), 1 + row_bytes), 3, np.uint8)
        lines[:, 1:] = now - average.astype(np.uint8)
        above = now[-1:]
        yield packer.compress(lines.tobytes())
    yield packer.flush()
