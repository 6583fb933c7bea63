"""Develop camera raw files with LibRaw, the only place that uses rawpy."""

import importlib.util
import io
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ppcn_jax.photos import exif, tiff
from ppcn_jax.photos.formats import DEVELOPED
from ppcn_jax.photos.photo import MOST_PIXELS, Photo
from ppcn_jax.runtime.errors import InputError, install_hint

# sRGB's curve: a power, and the slope near black.
_SRGB_CURVE = (2.4, 12.92)
# From here on, tags of the first directory are DNG's own.
_FIRST_DNG_TAG = 50706
# Camera and lens, times, exposure, place: what the first directory of a raw says of the photo.
_POINTERS = (0x8769, 0x8825)


def develop(file: BinaryIO) -> Photo:
    """Develop a raw file as an sRGB photo of 16 bits; raises InputError if it cannot be done.

    White balance and orientation are the camera's, demosaicing and brightness LibRaw's defaults.
    """
    if not importlib.util.find_spec("rawpy"):
        raise InputError(
            f"is a camera raw file; develop it first, or let ppcn-jax do it: {install_hint('raw')}"
        )
    import rawpy

    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            if raw.sizes.height * raw.sizes.width > MOST_PIXELS:
                raise InputError(f"is too large: more than {MOST_PIXELS // 10**6} megapixels")
            block = _block_of_preview(raw) or _block_of_tiff(file)
            pixels = raw.postprocess(use_camera_wb=True, output_bps=16, gamma=_SRGB_CURVE)
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise InputError(f"is a camera raw file that LibRaw cannot develop: {reason}") from error
    height, width = pixels.shape[:2]
    return Photo(
        pixels=np.ascontiguousarray(pixels[..., :3]),
        alpha=None,
        gray=False,
        format=DEVELOPED,
        block=exif.mark_srgb(exif.mark_upright(block, height, width)),
    )


def _block_of_preview(raw: Any) -> bytes:
    """EXIF of the JPEG preview, which cameras write in full."""
    import rawpy

    try:
        thumbnail = raw.extract_thumb()
    except rawpy.LibRawError:
        return b""
    if thumbnail.format != rawpy.ThumbFormat.JPEG:
        return b""
    try:
        with Image.open(io.BytesIO(thumbnail.data), formats=["JPEG"]) as image:
            return exif.valid_block(image.info.get("exif") or b"")
    except OSError:
        return b""


def _block_of_tiff(file: BinaryIO) -> bytes:
    """EXIF from the directories of a raw file that is based on TIFF."""
    fields = Image.Exif()
    file.seek(0)
    try:
        fields.load(file.read())
    except (SyntaxError, OSError, ValueError):
        return b""
    for pointer in _POINTERS:
        fields.get_ifd(pointer)  # reads it, so that it is written
    for tag in list(fields):
        if tag in tiff.STRUCTURE or tag >= _FIRST_DNG_TAG:
            del fields[tag]
    return exif.valid_block(fields.tobytes())
