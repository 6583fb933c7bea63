"""Small pictures that tests draw and encode."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def draw(seed: int, height: int = 16, width: int = 20) -> np.ndarray:
    """A random picture, smooth enough for JPEG: uint8 [height, width, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encode(rgb: np.ndarray, format: str = "JPEG", mode: str = "RGB", **options) -> bytes:
    """The content of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


def sideways(rgb: np.ndarray) -> bytes:
    """A JPEG whose EXIF orientation asks for a quarter turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(rgb, exif=exif)


def write_pairs(
    inputs: Path, targets: Path, names: Iterable[str], *, first_seed: int = 0, size=(16, 20)
) -> None:
    """Write different JPEGs under the same names to two folders."""
    for folder, offset in ((inputs, 0), (targets, 1000)):
        folder.mkdir(parents=True, exist_ok=True)
        for i, name in enumerate(names):
            (folder / name).write_bytes(encode(draw(first_seed + offset + i, *size)))
