"""The pixels of an opened image as arrays of 8 or 16 bits."""

import contextlib
import io
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms

from ppcn_jax.photos import sixteen_bits
from ppcn_jax.photos.boxes import read_properties
from ppcn_jax.photos.deep_heic import read_deep
from ppcn_jax.photos.jpeg_xl import read_jxl_header
from ppcn_jax.runtime.errors import InputError


def read_samples(
    image: Image.Image, file: BinaryIO, form: str, notes: list[str]
) -> tuple[np.ndarray, bool]:
    """Samples `[H, W, 3 or 4]` in the stored orientation, and whether the file is grayscale.

    Args:
        image: opened, not loaded.
        file: from which it was opened.
        form: its format.
        notes: what is reduced in reading is added, for the user.

    Raises:
        InputError: pixels of a type that is not supported, or an animation.
    """
    if form == "heic" and (bits := image.info.get("bit_depth", 8)) > 8:
        return _with_transparency(read_deep(file, bits), None)
    if form in ("avif", "jxl"):
        bits = _bits(file, form)
        if image.mode == "I;16":  # gray JPEG XL
            return _with_transparency(np.asarray(image)[..., None], None)
        if bits > 8:
            notes.append(f"{bits} bits per channel, which are reduced to 8 in reading")
    if sixteen_bits.is_wide(image):
        samples = sixteen_bits.read_wide(image, file)
        return _with_transparency(samples, image.info.get("transparency"))
    image.load()
    alpha = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
    gray = image.mode in ("1", "L", "LA")
    if image.mode == "CMYK":
        image = _cmyk_to_srgb(image)
    elif image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise InputError(
            f"has pixels of mode {image.mode}, which is not supported; save it as RGB or grayscale"
        )
    if image.mode != ("RGBA" if alpha else "RGB"):
        image = image.convert("RGBA" if alpha else "RGB")
    return np.asarray(image), gray


def _bits(file: BinaryIO, form: str) -> int:
    """Bits per channel of an AVIF or JPEG XL, which Pillow's plugins do not return."""
    file.seek(0)
    content = file.read()
    if form == "avif":
        return read_properties(content).bits
    header = read_jxl_header(content)
    if header.animated:
        raise InputError("contains several images (an animation); one is expected")
    return header.bits


def _with_transparency(samples: np.ndarray, key: Any) -> tuple[np.ndarray, bool]:
    gray = samples.shape[2] < 3
    color, alpha = (samples[..., :1], samples[..., 1:]) if gray else np.split(samples, [3], 2)
    if key is not None:  # a PNG's single transparent color
        alpha = np.where((color == key).all(-1, keepdims=True), 0, 65535).astype(np.uint16)
    color = np.broadcast_to(color, (*color.shape[:2], 3))
    return (np.concatenate([color, alpha], -1) if alpha.shape[2] else color), gray


def _cmyk_to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, srgb, outputMode="RGB") or image
    return image.convert("RGB")
