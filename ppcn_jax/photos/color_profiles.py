"""Convert pixels between the color profiles of two photos."""

import io

import numpy as np
from PIL import Image, ImageCms

from ppcn_jax.runtime.errors import InputError


def profile_name(icc: bytes) -> str:
    """Name of a color profile for messages; photos without one are sRGB."""
    if not icc:
        return "sRGB"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.getProfileDescription(profile).strip() or "an unnamed profile"
    except (ImageCms.PyCMSError, OSError):
        return "a damaged profile"


def same_colors(icc: bytes, other: bytes) -> bool:
    """Return True if two profiles are equal or both are sRGB."""
    return icc == other or all(profile_name(each).startswith("sRGB") for each in (icc, other))


def convert_colors(pixels: np.ndarray, icc: bytes, wanted: bytes) -> np.ndarray:
    """Convert uint8 `[H, W, 3]` from one color profile to another, relative colorimetric.

    Empty profiles are sRGB. Raises InputError if a profile is damaged or not for RGB.
    """
    if same_colors(icc, wanted):
        return pixels
    try:
        transform = ImageCms.buildTransform(
            _profile(icc),
            _profile(wanted),
            "RGB",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        converted = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    except (ImageCms.PyCMSError, OSError) as error:
        raise InputError(
            f"cannot convert colors from {profile_name(icc)} to {profile_name(wanted)}: {error}"
        ) from error
    return np.asarray(converted)


def _profile(icc: bytes) -> ImageCms.ImageCmsProfile:
    source = io.BytesIO(icc) if icc else ImageCms.createProfile("sRGB")
    return ImageCms.ImageCmsProfile(source)
