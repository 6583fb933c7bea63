"""Before and after at the size of a screen: pictures for a browser."""

import dataclasses

import numpy as np
from PIL import Image

from ppcn_jax.photos.read import Photo
from ppcn_jax.photos.write import encode_photo, to_8_bits

LONGEST_SIDE = 1600


def make_previews(before: Photo, after: Photo) -> tuple[bytes, bytes]:
    """Two JPEG pictures of one size, at most `LONGEST_SIDE` px a side.

    An enhanced photo is shown whole. Of an enlarged one the middle is shown, unless all of it has
    room, pixel by pixel beside its bicubic enlargement: made smaller again, both would look alike.
    Transparent parts become white.

    Args:
        before: what was read.
        after: what became of it, a whole number of times larger.

    Returns:
        JPEG files, in the photo's color profile.
    """
    height, width = before.levels.shape[:2]
    scale = after.levels.shape[0] // height
    if scale > 1:
        height, width = (min(side, LONGEST_SIDE // scale) for side in (height, width))
        before = _middle(before, height, width)
        after = _middle(after, scale * height, scale * width)
    shrink = min(1, LONGEST_SIDE / (scale * max(height, width)))
    size = (max(1, round(scale * width * shrink)), max(1, round(scale * height * shrink)))
    return _jpeg(before, size), _jpeg(after, size)


def _middle(photo: Photo, height: int, width: int) -> Photo:
    top, left = (
        (side - part) // 2
        for side, part in zip(photo.levels.shape[:2], (height, width), strict=True)
    )
    window = np.s_[top : top + height, left : left + width]
    alpha = None if photo.alpha is None else photo.alpha[window]
    return dataclasses.replace(photo, levels=photo.levels[window], alpha=alpha)


def _jpeg(photo: Photo, size: tuple[int, int]) -> bytes:
    image = Image.fromarray(to_8_bits(photo.levels))
    if photo.alpha is not None:
        mask = Image.fromarray(to_8_bits(photo.alpha))
        image = Image.composite(image, Image.new("RGB", image.size, "white"), mask)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    shown = Photo(np.asarray(image), None, photo.gray, "preview", icc=photo.icc)
    return encode_photo(shown, "jpeg")
