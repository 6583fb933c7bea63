"""Images that exported networks are calibrated and checked with."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.read import ALL_SUFFIXES, read_photo
from ppcn_jax.photos.resize import enlarge, shrink
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, Model


def read_photos(paths: Sequence[str | os.PathLike], height: int, width: int) -> list[np.ndarray]:
    """Read photos, of each the middle.

    Args:
        paths: photos, and folders of photos.
        height: of what is kept.
        width: of what is kept.

    Returns:
        uint8 `[height, width, 3]` each, as `cut` makes it.

    Raises:
        InputError: a photo that is not there or cannot be read, or a folder without photos.
    """
    return [cut(to_uint8(read_photo(path).pixels), height, width) for path in _found(paths)]


def cut(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of an image, which is mirrored at its lower and right border if it is smaller.

    Args:
        image: `[H, W, 3]`.
        height: of the result.
        width: of the result.

    Returns:
        `[height, width, 3]` of the same type.
    """
    missing = (max(height - image.shape[0], 0), max(width - image.shape[1], 0))
    image = np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def synthetic_photo(height: int, width: int) -> np.ndarray:
    """An image whose statistics are like a photo's: soft shading, edges and fine texture.

    Args:
        height: of the image.
        width: of the image.

    Returns:
        uint8 `[height, width, 3]`, the same at every call.
    """
    rng = np.random.default_rng(0)
    # Photos have amplitudes that fall with the frequency, alike in all three channels.
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    noise = rng.standard_normal((4, height, width))
    clouds = np.fft.irfft2(np.fft.rfft2(noise) / frequency**1.2, s=(height, width))
    clouds /= clouds.std(axis=(1, 2), keepdims=True)
    y, x = np.mgrid[:height, :width]
    edges = np.zeros((height, width))
    for _ in range(12):
        center, radius = rng.random(2) * (height, width), rng.uniform(0.05, 0.3) * height
        inside = np.hypot(y - center[0], x - center[1]) < radius
        edges[inside] = rng.uniform(-1, 1)
    color = 0.45 + 0.12 * clouds[3] + 0.15 * edges + 0.04 * clouds[:3]
    return from_float(color.transpose(1, 2, 0), np.uint8)


def as_input(model: Model, image: np.ndarray) -> np.ndarray:
    """What a network would be given of a photo.

    Args:
        model: the network.
        image: uint8 `[H, W, 3]`.

    Returns:
        float32 `[1, H, W, 3]` in [0, 1]: the photo; for a super-resolver the photo shrunk and
        enlarged again.
    """
    if model.name not in ENHANCERS:
        height, width = image.shape[:2]
        scale = scale_of(model)
        whole = cut(image, height + -height % scale, width + -width % scale)
        image = enlarge(shrink(whole, scale), scale)[:height, :width]
    return to_float(image[None])


def _found(paths: Sequence[str | os.PathLike]) -> list[pathlib.Path]:
    found = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in ALL_SUFFIXES)
            if not inside:
                raise InputError(f"{path} holds no photos")
            found += inside
        else:
            found.append(path)
    return found
