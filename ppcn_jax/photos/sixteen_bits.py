"""Images with 16 bits per channel: Pillow reads their colors as 8 bits and cannot write them.

Pillow's decoders are used nevertheless. They return the high byte of each value; when the image is
declared to have the opposite byte order, they return the low byte.
"""

import io
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ppcn_jax.photos.png_chunks import START, chunks_of, encode_chunk
from ppcn_jax.runtime.errors import InputError

_STRIP_BYTES = 1 << 20
# The opposite byte order; N is the machine's own.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
# TIFF tags, and one value of the photometric interpretation.
_BITS, _PHOTOMETRIC, _PLANES, _WHITE_IS_ZERO = 258, 262, 284, 0


def is_wide(image: Image.Image) -> bool:
    """Return True if an image, opened but not loaded, needs `read_wide`."""
    # The raw mode of a planar TIFF does not show the number of bits.
    bits = _tags(image).get(_BITS, ())
    return ";16" in _raw_mode(image) or any(8 < count <= 16 for count in bits)


def read_wide(image: Image.Image, file: BinaryIO) -> np.ndarray:
    """Read uint16 `[H, W, C]`, C from 1 (gray) to 4 (RGB and alpha), from a PNG or TIFF file.

    The image has been opened from the file but not loaded. Raises InputError if the pixels are
    stored in a way that is not supported, and any error of Pillow's decoders.
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
        raise InputError(
            f"has 16-bit {image.format} pixels stored as {raw}{' in planes' if planes else ''}; "
            "with more than 8 bits per channel, only grayscale, RGB and RGBA with straight "
            "(not premultiplied) alpha are supported"
        )
    samples = np.asarray(image).astype(np.uint16)
    samples <<= 8
    file.seek(0)
    with Image.open(file, formats=[str(image.format)]) as swapped:
        swapped.seek(image.tell())
        mode = f"{kind};16{_SWAPPED[order]}"
        tiles = [
            tile._replace(args=mode if isinstance(tile.args, str) else (mode, *tile.args[1:]))
            for tile in getattr(swapped, "tile")  # noqa: B009
        ]
        setattr(swapped, "tile", tiles)  # noqa: B010
        samples |= np.asarray(swapped)
    return samples


def with_wide_pixels(png: bytes, samples: np.ndarray) -> bytes:
    """Replace the pixels of a PNG file by uint16 `[H, W, C]`, C from 1 to 4; keep its metadata."""
    height, width, channels = samples.shape
    color = (0, 4, 2, 6)[channels - 1]
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    parts = [png[:START], encode_chunk(b"IHDR", header)]
    for kind, content in chunks_of(png):
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            parts.append(encode_chunk(kind, content))
    parts += [encode_chunk(b"IDAT", strip) for strip in _compress(samples)]
    return b"".join([*parts, encode_chunk(b"IEND", b"")])


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    raw = arguments if isinstance(arguments, str) else arguments[0]
    return raw if isinstance(raw, str) else ""


def _tags(image: Image.Image) -> Mapping[int, Any]:
    return getattr(image, "tag_v2", {})


def _read_gray_alpha(file: BinaryIO) -> np.ndarray:
    # Four bytes per pixel: read as 8-bit RGBA, whose filters use the same distance.
    file.seek(0)
    png = file.read()
    # Change only the bit depth and color type, which follow width and height in the header.
    header = png[16:24] + bytes([8, 6]) + png[26:29]
    relabelled = png[:START] + encode_chunk(b"IHDR", header) + png[33:]
    with Image.open(io.BytesIO(relabelled), formats=["PNG"]) as image:
        return np.ascontiguousarray(image).view(">u2").astype(np.uint16)


def _compress(samples: np.ndarray) -> Iterator[bytes]:
    """Compress rows with PNG's filter 3: minus the average of the left and upper neighbors."""
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
