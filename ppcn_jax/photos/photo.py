"""A photo in memory: its pixels and whatever else is carried over to the result."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ppcn_jax.photos.png_chunks import Chunk

# Phones take photos of up to 200 megapixels; a header that declares more than this is rejected.
MOST_PIXELS = 400_000_000


class Resolution(NamedTuple):
    """Pixels per unit; the unit is 1 (none: an aspect ratio), 2 (inch) or 3 (cm), as in TIFF."""

    x: float
    y: float
    unit: int


@dataclasses.dataclass(frozen=True)
class Extras:
    """Metadata that only some formats have.

    Attributes:
        resources: Photoshop's image resources with IPTC data, of JPEG and TIFF.
        xmp_extension: extended XMP, of JPEG.
        comment: of JPEG.
        texts: chunks of text of PNG, without XMP.
        color_chunks: PNG's own description of its colors, beside the profile made of it.
        resolution: of JFIF, PNG and TIFF; None if EXIF alone has it.
    """

    resources: bytes = b""
    xmp_extension: bytes = b""
    comment: bytes = b""
    texts: tuple[Chunk, ...] = ()
    color_chunks: tuple[Chunk, ...] = ()
    resolution: Resolution | None = None


@dataclasses.dataclass(frozen=True)
class Photo:
    """Pixels and metadata of a photo.

    Attributes:
        pixels: uint8 or uint16 `[H, W, 3]`, RGB, upright.
        alpha: `[H, W]` of the same type; None if the file has none.
        gray: the file has a single color channel.
        format: a key of `SUFFIXES`.
        block: EXIF, with upright orientation.
        icc: the color profile, made if the file describes its colors in another way.
        xmp: the XMP packet.
        options: encoder options that reproduce the file's quality in the same format.
        extras: what only some formats have.
        notes: what had to be changed or dropped in reading, for the user.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    gray: bool
    format: str
    block: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extras: Extras = Extras()
    notes: tuple[str, ...] = ()
