"""Encode a photo as the content of a file."""

import io
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ppcn_jax.photos import exif, sixteen_bits, tiff
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.read import Photo
from ppcn_jax.runtime.errors import InputError

# Formats with a quality setting, and its default for photos that were in another format.
QUALITIES = {"jpeg": 95, "webp": 90, "heic": 90}
_LONGEST_SIDES = {"jpeg": 65_500, "webp": 16_383}
_TIFF_BYTES = 4_000_000_000


def check_output(photo: Photo, format: str, scale: int) -> None:
    """Raise InputError if a format cannot hold a photo with `scale` times longer sides."""
    height, width = (scale * side for side in photo.pixels.shape[:2])
    longest = _LONGEST_SIDES.get(format)
    if longest and max(height, width) > longest:
        raise InputError(
            f"would become {width:,} x {height:,} px, but {format.upper()} is limited to "
            f"{longest:,} px per side; choose --format png or tiff"
        )
    if format == "tiff" and height * width * 4 * photo.pixels.itemsize > _TIFF_BYTES:
        raise InputError(
            f"would become {width:,} x {height:,} px, too large for TIFF; choose --format png"
        )
    transparent = photo.alpha is not None and photo.alpha.min() < np.iinfo(photo.alpha.dtype).max
    if format == "jpeg" and transparent:
        raise InputError(
            "has transparency, which JPEG does not support; choose --format png, webp or tiff"
        )


def encode_photo(photo: Photo, format: str, quality: int | None = None) -> bytes:
    """Encode a photo in a format of `SUFFIXES`; raises InputError if the encoder fails.

    16 bits are rounded to 8 if the format has no more. The quality, 1 to 100, applies to JPEG,
    lossy WebP and HEIC; None keeps the quality of the original file, or takes that of `QUALITIES`
    if the photo was in another format.
    """
    height, width = photo.pixels.shape[:2]
    block = exif.mark_upright(photo.block, height, width)
    try:
        if format == "tiff":
            packed = photo.options.get("packed", True) if photo.format == "tiff" else True
            samples = _samples(photo, photo.gray, photo.alpha is not None)
            return tiff.encode(samples, block=block, icc=photo.icc, xmp=photo.xmp, packed=packed)
        return _encode(photo, format, quality, block)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's encoders raise many different types
        raise InputError(f"cannot be written as {format.upper()}: {error}") from error


def encode_preview(photo: Photo, height: int, width: int) -> bytes:
    """Encode a photo, resized and on white, as a JPEG for a browser."""
    image = Image.fromarray(to_uint8(photo.pixels))
    if photo.alpha is not None:
        mask = Image.fromarray(to_uint8(photo.alpha))
        image = Image.composite(image, Image.new("RGB", image.size, "white"), mask)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    preview = Photo(np.asarray(image), None, photo.gray, "preview", icc=photo.icc)
    return encode_photo(preview, "jpeg")


def _samples(photo: Photo, gray: bool, alpha: bool) -> np.ndarray:
    parts = [photo.pixels[..., :1] if gray else photo.pixels]
    if alpha and photo.alpha is not None:
        parts.append(photo.alpha[..., None])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _encode(photo: Photo, format: str, quality: int | None, block: bytes) -> bytes:
    gray = photo.gray and format != "webp"
    samples = _samples(photo, gray, format != "jpeg")
    wide = format == "png" and samples.dtype == np.uint16
    # Pillow writes the metadata of a 16-bit PNG with one black pixel, which is then replaced.
    narrow = np.zeros((1, 1, 3), np.uint8) if wide else to_uint8(samples)
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
