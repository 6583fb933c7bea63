"""What a photo file carries beside its pixels: EXIF, XMP, IPTC, texts, resolution and colors."""

import dataclasses
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from ppcn_jax.photos import exif, jpeg_segments, png_chunks, tiff, xmp
from ppcn_jax.photos.boxes import read_properties
from ppcn_jax.photos.color_codes import adobe_rgb, color_chunks, profile_of_nclx, profile_of_png
from ppcn_jax.photos.color_profiles import profile_name
from ppcn_jax.photos.icc import color_model
from ppcn_jax.photos.jpeg_xl import read_jxl_header
from ppcn_jax.photos.photo import Extras, Resolution

_RESOURCES, _IPTC = 34377, 33723  # TIFF tags
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_DIRECTORIES = (0x8769, 0x8825)  # EXIF and GPS
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# PNG texts with a place of their own: XMP, and the EXIF of old versions of ImageMagick.
_OTHER_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type ")
# Formats without descriptions of colors other than profiles.
_COLORS_IN_EXIF = ("jpeg", "tiff", "webp")
# Letters by which messages name the colors that a profile is for.
_MODELS = {"GRAY": "grayscale", "CMYK": "CMYK", "RGB": "RGB"}


class Metadata(NamedTuple):
    """Fields of a `Photo`; the EXIF block has the orientation of the file."""

    block: bytes
    icc: bytes
    xmp: bytes
    extras: Extras
    notes: list[str]


def read_metadata(image: Any, file: BinaryIO, form: str, gray: bool) -> Metadata:
    """Read the metadata of an image that has been loaded, from its file of a format.

    Raises InputError if colors are described in a way that is not supported.
    """
    packet: Any = image.info.get("xmp") or b""
    packet = xmp.mark_upright(packet.encode() if isinstance(packet, str) else packet)
    # CMYK has been converted by its profile.
    icc = (image.mode != "CMYK" and image.info.get("icc_profile")) or b""
    notes: list[str] = []
    extras = Extras()
    if form == "jpeg":
        segments = getattr(image, "applist", [])
        extras = Extras(
            resources=jpeg_segments.read_resources(segments),
            xmp_extension=jpeg_segments.read_extension(segments, packet),
            comment=image.info.get("comment", b""),
            resolution=_jfif_resolution(image.info),
        )
        if not extras.xmp_extension:
            packet = xmp.without_extension(packet)
    elif form == "png":
        chunks = png_chunks.read_all(file)
        colors = color_chunks(chunks)
        icc = profile_of_png(colors, icc)
        extras = Extras(
            texts=tuple(
                (name, content)
                for name, content in chunks
                if name in _TEXTS and not content.startswith(_OTHER_TEXTS)
            ),
            color_chunks=colors,
            resolution=_png_resolution(dict(chunks).get(b"pHYs", b"")),
        )
    elif form == "tiff":
        extras = Extras(resources=_tiff_resources(image), resolution=_tiff_resolution(image))
    elif form == "bmp":
        extras = Extras(resolution=_bmp_resolution(image.info))
    elif form == "jxl":
        packet = xmp.mark_upright(read_jxl_header(_content(file)).xmp)
    elif form == "heic" and not icc and (nclx := image.info.get("nclx_profile")):
        icc = profile_of_nclx(nclx["color_primaries"], nclx["transfer_characteristics"])
    elif form == "avif" and not icc and (codes := read_properties(_content(file)).codes):
        icc = profile_of_nclx(*codes)
    block = read_block(image)
    if form == "jxl" and not image.jpeg:  # upright, whatever EXIF says
        block = exif.mark_upright(block, image.height, image.width)
    if image.mode == "CMYK":
        block = exif.mark_srgb(block)
    elif not (icc or gray) and form in _COLORS_IN_EXIF and exif.is_adobe_rgb(block):
        icc = adobe_rgb()
    model = color_model(icc)
    if model and model != "RGB" and not (gray and model == "GRAY"):
        kind = _MODELS.get(model, model)
        notes.append(f"its color profile {profile_name(icc)}, which is for {kind} images")
        icc = b""
        extras = dataclasses.replace(extras, color_chunks=())
    return Metadata(block, icc, xmp.without_other_pictures(packet), extras, notes)


def read_block(image: Image.Image) -> bytes:
    """The EXIF block of an image; empty if there is none."""
    block = image.info.get("exif") or b""
    if not block and (fields := image.getexif()):
        # A TIFF file is its own block: drop the tags that describe how its pixels are stored.
        for tag in _DIRECTORIES:
            fields.get_ifd(tag)  # reads it
        for tag in (tiff.STRUCTURE | {_RESOURCES, _IPTC}) & fields.keys():
            del fields[tag]
        fields.bigtiff = False  # a block of EXIF never is
        block = fields.tobytes()
    return exif.valid_block(block)


def _jfif_resolution(info: Mapping[Any, Any]) -> Resolution | None:
    if "jfif_density" not in info:
        return None
    x, y = info["jfif_density"]
    # JFIF counts units from 0, TIFF from 1. One pixel by one pixel says nothing.
    unit = info.get("jfif_unit", 0) + 1
    return Resolution(x, y, unit) if (x, y, unit) != (1, 1, 1) and min(x, y) > 0 else None


def _bmp_resolution(info: Mapping[Any, Any]) -> Resolution | None:
    x, y = info.get("dpi", (0, 0))
    return Resolution(x, y, 2) if min(x, y) > 1 else None


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _png_resolution(content: bytes) -> Resolution | None:
    if len(content) != 9:
        return None
    x, y, is_metric = struct.unpack(">IIB", content)
    if min(x, y) == 0:
        return None
    return Resolution(x * 0.0254, y * 0.0254, 2) if is_metric else Resolution(x, y, 1)


def _tiff_resolution(image: Any) -> Resolution | None:
    tags = image.tag_v2
    try:
        x, y = float(tags[_X_RESOLUTION]), float(tags[_Y_RESOLUTION])
        unit = int(tags.get(_UNIT, 2))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    positive = 0 < x < 1e6 and 0 < y < 1e6
    return Resolution(x, y, unit) if positive and unit in (1, 2, 3) and (x, y) != (1, 1) else None


def _tiff_resources(image: Any) -> bytes:
    resources, iptc = (_bytes_of(image.tag_v2, tag) for tag in (_RESOURCES, _IPTC))
    resources = jpeg_segments.without_thumbnails(resources)
    if iptc and not jpeg_segments.iptc_of(resources):
        resources += jpeg_segments.make_resources(iptc)
    return resources


def _bytes_of(tags: Any, tag: int) -> bytes:
    value = tags.get(tag, b"")
    if isinstance(value, tuple) and all(isinstance(number, int) for number in value):
        # Some programs store bytes as numbers of 32 bits, in the byte order of the file.
        order = "<" if tags.prefix == b"II" else ">"
        size = {1: "B", 4: "I"}.get(tags.tagtype.get(tag), "B")
        return struct.pack(f"{order}{len(value)}{size}", *value)
    return value if isinstance(value, bytes) else b""
