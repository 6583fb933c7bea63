"""Images for calibrating exported networks and for comparing them with JAX."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.photos.formats import ALL_SUFFIXES
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.read import read_srgb
from ppcn_jax.photos.resize import enlarge, shrink
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, Model


def photo_files(paths: Sequence[str | os.PathLike]) -> list[pathlib.Path]:
    """The photos that paths name, which may be folders; InputError for a folder without photos."""
    files: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            photos = sorted(p for p in path.iterdir() if p.suffix.lower() in ALL_SUFFIXES)
            if not photos:
                raise InputError(f"{path} has no photos")
            files += photos
        else:
            files.append(path)
    return files


def read_photos(paths: Sequence[str | os.PathLike], height: int, width: int) -> list[np.ndarray]:
    """Read the centers of photos as uint8 sRGB `[height, width, 3]`; paths may be folders of photos.

    Raises:
        InputError: a photo is missing or cannot be read, or a folder has no photos.
    """
    files = photo_files(paths)
    return [cut(to_uint8(read_srgb(file)), height, width) for file in files]


def cut(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Crop `[H, W, 3]` to its center; a smaller image is first mirrored at the bottom and right."""
    missing = (max(height - image.shape[0], 0), max(width - image.shape[1], 0))
    image = np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def synthetic_photo(height: int, width: int) -> np.ndarray:
    """A uint8 `[height, width, 3]` image with the statistics of a photo, the same at every call.

    It has soft shading, edges and fine texture.
    """
    rng = np.random.default_rng(0)
    # In photos, amplitudes fall with the frequency, similarly in all three channels.
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
    """The network's input for a uint8 photo `[H, W, 3]`: float32 `[1, H, W, 3]` in [0, 1].

    For a super-resolver the photo is shrunk and enlarged.
    """
    if model.name not in ENHANCERS:
        height, width = image.shape[:2]
        scale = scale_of(model)
        padded = cut(image, height + -height % scale, width + -width % scale)
        image = enlarge(shrink(padded, scale), scale)[:height, :width]
    return to_float(image[None])
