"""Encode a photo as the content of a file."""

import io
import struct
import warnings
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ppcn_jax.photos import exif, sixteen_bits, tiff
from ppcn_jax.photos.carried import fit_metadata
from ppcn_jax.photos.deep_heic import encode_deep
from ppcn_jax.photos.icc import color_model, in_color
from ppcn_jax.photos.jpeg_segments import encode_segments, set_density
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.photo import Photo, Resolution
from ppcn_jax.photos.plugins import load_plugin
from ppcn_jax.photos.png_chunks import Chunk, insert_chunks
from ppcn_jax.runtime.errors import InputError

# Formats with a quality setting, and its default for photos that were in another format.
QUALITIES = {"jpeg": 95, "webp": 90, "heic": 90, "avif": 90, "jxl": 95}
# Names of Pillow's plugins, where they differ.
_PLUGINS = {"heic": "HEIF"}
_OPAQUE = ("jpeg", "bmp")
# What encoders accept and decoders read again: sides, their ratio, and pixels.
_LONGEST_SIDES = {"jpeg": 65_500, "webp": 16_383, "heic": 32_768, "avif": 32_768}
_LARGEST_RATIO = {"heic": 256}
_MOST_PIXELS = {"avif": 2**28}
_TIFF_BYTES = 4_000_000_000
# Bits of a HEIC made from a photo of 16 bits, unless the photo is a HEIC of 12.
_HEIC_BITS = 10


def check_output(photo: Photo, format: str, scale: int) -> None:
    """Raise InputError if a format cannot hold a photo with `scale` times longer sides."""
    height, width = (scale * side for side in photo.pixels.shape[:2])
    size, name = f"would become {width:,} x {height:,} px", format.upper()
    longest, most = _LONGEST_SIDES.get(format), _MOST_PIXELS.get(format)
    ratio = _LARGEST_RATIO.get(format)
    problem = ""
    if longest and max(height, width) > longest:
        problem = f"{name} is limited to {longest:,} px per side"
    elif most and height * width > most:
        problem = f"{name} is limited to {most // 10**6} megapixels"
    elif ratio and max(height, width) > ratio * min(height, width):
        problem = f"{name} is limited to sides in a ratio of 1 to {ratio}"
    if problem:
        raise InputError(f"{size}, but {problem}; choose --format png or tiff")
    if format == "tiff" and height * width * 4 * photo.pixels.itemsize > _TIFF_BYTES:
        raise InputError(f"{size}, too large for TIFF; choose --format png")
    transparent = photo.alpha is not None and photo.alpha.min() < np.iinfo(photo.alpha.dtype).max
    if format in _OPAQUE and transparent:
        raise InputError(
            f"has transparency, which {name} does not support; choose --format png, webp or tiff"
        )


def encode_photo(photo: Photo, format: str, quality: int | None = None) -> bytes:
    """Encode a photo in a format of `SUFFIXES`; raises InputError if the encoder fails.

    16 bits are rounded to 8 if the format has no more. The quality, 1 to 100, applies to JPEG,
    lossy WebP, HEIC, AVIF and JPEG XL; None keeps the quality of the original file, or takes that of `QUALITIES`
    if the photo was in another format. Metadata that the format does not hold is dropped:
    `fit_metadata` says what. So is EXIF that would make the file unreadable.
    """
    height, width = photo.pixels.shape[:2]
    photo = fit_metadata(photo, format).photo
    block = exif.mark_upright(photo.block, height, width)
    try:
        content = _encode(photo, format, quality, block)
        if block and not _opens(content):
            content = _encode(photo, format, quality, b"")
        return content
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
    if format == "tiff":
        return _encode_tiff(photo, block)
    deep = format == "heic" and photo.pixels.dtype == np.uint16
    gray = photo.gray and format != "webp" and not (deep and photo.alpha is not None)
    samples = _samples(photo, gray, format not in _OPAQUE)
    wide = format == "png" and samples.dtype == np.uint16
    # Pillow writes the metadata of a 16-bit PNG with one black pixel, which is then replaced.
    narrow = np.zeros((1, 1, 3), np.uint8) if wide else to_uint8(samples)
    image = Image.fromarray(narrow[..., 0] if narrow.shape[2] == 1 else narrow)
    extras = photo.extras
    options: dict[str, Any] = {}
    if format in QUALITIES:
        options = {"quality": quality or QUALITIES[format], "xmp": photo.xmp}
        if format == "jpeg" and not quality:
            options["subsampling"] = 0
        if format == "avif" and not gray:
            options["subsampling"] = "4:4:4"
        if photo.format == format and not quality:
            options |= photo.options
        if "qtables" in options:
            del options["quality"]
    if format == "jpeg":
        options["extra"] = encode_segments(extras.resources, photo.xmp, extras.xmp_extension)
        options["comment"] = extras.comment
    if format == "png" and photo.xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", photo.xmp.decode(errors="replace"))
    if block:
        options["exif"] = exif.HEADER + block
    if photo.icc and not extras.color_chunks:
        options["icc_profile"] = photo.icc
    if format == "bmp" and extras.resolution:
        options["dpi"] = extras.resolution[:2]
    options.pop("bits", None)
    if deep:
        bits = photo.options.get("bits", _HEIC_BITS) if photo.format == format else _HEIC_BITS
        return encode_deep(samples, bits, **options)
    plugin = _PLUGINS.get(format, format.upper())
    load_plugin(plugin)
    buffer = io.BytesIO()
    image.save(buffer, plugin, **options)
    content = buffer.getvalue()
    if format == "png":
        density = _density_chunks(extras.resolution)
        content = insert_chunks(content, (*extras.color_chunks, *density, *extras.texts))
    if format == "jpeg" and extras.resolution:
        x, y, unit = extras.resolution
        content = set_density(content, unit - 1, *(min(max(round(r), 1), 65_535) for r in (x, y)))
    return sixteen_bits.with_wide_pixels(content, samples) if wide else content


def _encode_tiff(photo: Photo, block: bytes) -> bytes:
    gray = photo.gray
    if gray and photo.alpha is not None and photo.alpha.dtype == np.uint16:
        gray = False  # Pillow cannot read gray and alpha of 16 bits
    return tiff.encode(
        _samples(photo, gray, photo.alpha is not None),
        block=block,
        icc=photo.icc if gray or color_model(photo.icc) != "GRAY" else in_color(photo.icc),
        xmp=photo.xmp,
        resources=photo.extras.resources,
        resolution=photo.extras.resolution,
        packed=photo.options.get("packed", True) if photo.format == "tiff" else True,
    )


def _density_chunks(resolution: Resolution | None) -> list[Chunk]:
    """PNG's chunk with the resolution, which it counts per meter."""
    if resolution is None:
        return []
    per_meter = {1: 1.0, 2: 1 / 0.0254, 3: 100.0}[resolution.unit]
    x, y = (min(round(r * per_meter), 2**31 - 1) for r in resolution[:2])
    return [(b"pHYs", struct.pack(">IIB", x, y, resolution.unit > 1))] if x and y else []


def _opens(content: bytes) -> bool:
    """Check that Pillow can open a file, and read its EXIF as viewers do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fields that Pillow passes over
            with Image.open(io.BytesIO(content)) as image:
                image.getexif()
        return True
    except exif.ERRORS:
        return False
