"""Which metadata of a photo a format can hold, and what is lost."""

import contextlib
import dataclasses
from typing import Any, NamedTuple

from PIL import Image

from ppcn_jax.photos import exif, xmp
from ppcn_jax.photos.color_space import color_space, convert_to_srgb
from ppcn_jax.photos.icc import color_model, in_color
from ppcn_jax.photos.photo import Extras, Photo

# What fits into one segment of a JPEG, with and without a name before it.
_MOST_EXIF, _MOST_XMP = 65_527, 65_502
_MAKER_NOTE, _EXIF = 0x927C, 0x8769


class Carried(NamedTuple):
    """A photo with the metadata that a format holds, and what it does not hold, by name."""

    photo: Photo
    lost: list[str]


def fit_metadata(photo: Photo, format: str) -> Carried:
    """Reduce the metadata of a photo to what a format holds; resolutions are dropped silently."""
    lost = []
    extras, packet, block = photo.extras, photo.xmp, photo.block
    if extras.xmp_extension and format != "jpeg":
        lost.append("extended XMP")
        packet, extras = xmp.without_extension(packet), _without(extras, xmp_extension=b"")
    if extras.resources and format not in ("jpeg", "tiff"):
        lost.append("IPTC data")
        extras = _without(extras, resources=b"")
    if extras.comment and format != "jpeg":
        lost.append("the comment")
        extras = _without(extras, comment=b"")
    if extras.texts and format != "png":
        lost.append("texts")
        extras = _without(extras, texts=())
    if format != "png":
        extras = _without(extras, color_chunks=())
    if format == "jpeg":
        if len(packet) > _MOST_XMP:
            if extras.xmp_extension:
                lost.append("extended XMP")
            packet, extension = xmp.extend(xmp.without_extension(packet))
            extras = _without(extras, xmp_extension=extension)
        block, names = _fit_block(block)
        lost += names
    icc = photo.icc
    if color_model(icc) == "GRAY" and not (photo.gray and format != "webp"):
        icc = in_color(icc)
    pixels = photo.pixels
    if format == "jxl" and icc:  # which Pillow's plug-in does not write
        if space := color_space(icc):
            pixels = convert_to_srgb(space, pixels)
            lost.append("its color profile: it is sRGB now")
        icc = b""
    photo = dataclasses.replace(
        photo, pixels=pixels, extras=extras, xmp=packet, block=block, icc=icc
    )
    return Carried(photo, lost)


def _without(extras: Extras, **values: Any) -> Extras:
    return dataclasses.replace(extras, **values)


def _fit_block(block: bytes) -> tuple[bytes, list[str]]:
    """Shorten EXIF for a JPEG: without the thumbnail's bytes, maker note, or at all."""
    if len(block) <= _MOST_EXIF:
        return block, []
    fields = Image.Exif()
    with contextlib.suppress(*exif.ERRORS):
        fields.load(exif.HEADER + block)
        camera = fields.get_ifd(_EXIF)
        short = exif.valid_block(fields.tobytes())
        if 0 < len(short) <= _MOST_EXIF:
            return short, []
        if camera.pop(_MAKER_NOTE, None):
            short = exif.valid_block(fields.tobytes())
            if 0 < len(short) <= _MOST_EXIF:
                return short, ["the camera's maker note"]
    return b"", ["EXIF data"]
