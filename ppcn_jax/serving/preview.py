"""Before and after at screen size, as images for a browser."""

import dataclasses

import numpy as np

from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.write import encode_preview

LONGEST_SIDE = 1600


def make_previews(before: Photo, after: Photo) -> tuple[bytes, bytes]:
    """Make two JPEGs of one size, at most `LONGEST_SIDE` px per side, in the photo's profile.

    An enhanced photo is shown completely. An enlarged one is shown pixel by pixel beside its
    bicubic enlargement, cropped to the center if it is too large: reduced, both would look alike.
    Transparent parts become white.
    """
    height, width = before.pixels.shape[:2]
    scale = after.pixels.shape[0] // height
    if scale > 1:
        height, width = (min(side, LONGEST_SIDE // scale) for side in (height, width))
        before = _center(before, height, width)
        after = _center(after, scale * height, scale * width)
    shrink = min(1, LONGEST_SIDE / (scale * max(height, width)))
    size = max(1, round(scale * height * shrink)), max(1, round(scale * width * shrink))
    return encode_preview(before, *size), encode_preview(after, *size)


def _center(photo: Photo, height: int, width: int) -> Photo:
    top, left = (
        (side - part) // 2
        for side, part in zip(photo.pixels.shape[:2], (height, width), strict=True)
    )
    window = np.s_[top : top + height, left : left + width]
    alpha = None if photo.alpha is None else photo.alpha[window]
    return dataclasses.replace(photo, pixels=photo.pixels[window], alpha=alpha)
