"""The content of the file that is written from a photo."""

import io
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ppcn_jax.photos import exif, sixteen_bits, tiff
from ppcn_jax.photos.read import Photo
from ppcn_jax.runtime.errors import InputError

# Those with a quality, and the quality of what was not in the same format before.
QUALITIES = {"jpeg": 95, "webp": 90, "heic": 90}
_LONGEST_SIDES = {"jpeg": 65_500, "webp": 16_383}
_TIFF_BYTES = 4_000_000_000


def check_output(photo: Photo, format: str, scale: int) -> None:
    """Refuse what a format cannot hold, before the work.

    Args:
        photo: what was read.
        format: to be written, a key of `SUFFIXES`.
        scale: how many times larger the output is.

    Raises:
        InputError: too large, or transparent.
    """
    height, width = (scale * side for side in photo.levels.shape[:2])
    longest = _LONGEST_SIDES.get(format)
    if longest and max(height, width) > longest:
        raise InputError(
            f"would become {width:,} x {height:,} px; a {format.upper()} file has at most "
            f"{longest:,} px a side: choose --format png or tiff"
        )
    if format == "tiff" and height * width * 4 * photo.levels.itemsize > _TIFF_BYTES:
        raise InputError(
            f"would become {width:,} x {height:,} px, too large for TIFF: choose --format png"
        )
    if format == "jpeg" and _is_transparent(photo):
        raise InputError("is transparent, which JPEG cannot be: choose --format png, webp or tiff")


def encode_photo(photo: Photo, format: str, quality: int | None = None) -> bytes:
    """The content of a photo file.

    Args:
        photo: what to write; 16 bits become 8 in formats that have no more.
        format: a key of `SUFFIXES`.
        quality: 1 to 100, of JPEG, lossy WebP and HEIC; by default as it was, or as in
            `QUALITIES` where that is not known.

    Returns:
        The file.

    Raises:
        InputError: the encoder refuses it.
    """
    height, width = photo.levels.shape[:2]
    block = exif.upright(photo.block, height, width)
    try:
        if format == "tiff":
            packed = photo.options.get("packed", True) if photo.format == "tiff" else True
            samples = _samples(photo, photo.gray, photo.alpha is not None)
            return tiff.encode(samples, block=block, icc=photo.icc, xmp=photo.xmp, packed=packed)
        return _encode(photo, format, quality, block)
    except MemoryError:
        raise
    except Exception as error:  # each of Pillow's encoders raises kinds of its own
        raise InputError(f"cannot be written as {format.upper()}: {error}") from error


def to_8_bits(levels: np.ndarray) -> np.ndarray:
    """Round 16 bits to 8.

    Args:
        levels: uint8, which passes through, or uint16.

    Returns:
        uint8 of the same shape.
    """
    if levels.dtype == np.uint8:
        return levels
    rounded = np.empty(levels.shape, np.uint8)
    for row, wide in zip(rounded, levels, strict=True):  # row by row for the memory
        row[...] = (wide.astype(np.uint32) * 255 + 32767) // 65535
    return rounded


def _is_transparent(photo: Photo) -> bool:
    return photo.alpha is not None and photo.alpha.min() < np.iinfo(photo.alpha.dtype).max


def _samples(photo: Photo, gray: bool, alpha: bool) -> np.ndarray:
    parts = [photo.levels[..., :1] if gray else photo.levels]
    if alpha and photo.alpha is not None:
        parts.append(photo.alpha[..., None])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _encode(photo: Photo, format: str, quality: int | None, block: bytes) -> bytes:
    gray = photo.gray and format != "webp"
    samples = _samples(photo, gray, format != "jpeg")
    wide = format == "png" and samples.dtype == np.uint16
    # Pillow writes the metadata; 16-bit pixels take the place of one black one.
    narrow = np.zeros((1, 1, 3), np.uint8) if wide else to_8_bits(samples)
    image = Image.fromarray(narrow[..., 0] if narrow.shape[2] == 1 else narrow)
    options: dict[str, Any] = {}
    if format in QUALITIES:
        options = {"quality": quality or QUALITIES[format], "xmp": photo.xmp}
        if format == "jpeg" and not quality:
            options["subsampling"] = 0
        if photo.format == format and not quality:
            options |= photo.options
        if "qtables" in options:
            del options["quality"]
    if format == "png" and photo.xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", photo.xmp.decode(errors="replace"))
    if block:
        options["exif"] = exif.HEADER + block
    if photo.icc and (gray or photo.icc[16:20] != b"GRAY"):
        options["icc_profile"] = photo.icc
    buffer = io.BytesIO()
    image.save(buffer, "HEIF" if format == "heic" else format.upper(), **options)
    content = buffer.getvalue()
    return sixteen_bits.with_wide_pixels(content, samples) if wide else content
