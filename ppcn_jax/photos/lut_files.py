"""Write color lookup tables: .cube files, and HaldCLUT pictures."""

import io
import math
import pathlib

import numpy as np
from PIL import Image

from ppcn_jax.photos.levels import from_float
from ppcn_jax.photos.sixteen_bits import with_wide_pixels
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes

SUFFIXES = (".cube", ".png")
LARGEST_SIZE = 129  # nodes per axis; programs that read .cube files accept no larger ones


def check_lut_path(path: pathlib.Path) -> None:
    """Raise InputError if a table cannot be written at a path."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--output {path} must end in .cube, or in .png for a HaldCLUT")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} of --output {path} does not exist")


def write_cube(path: pathlib.Path, nodes: np.ndarray, title: str) -> None:
    """Write nodes `[N, N, N, 3]` by red, green and blue, RGB in [0, 1], in the format of Adobe.

    Reference:
        Adobe, Cube LUT Specification 1.0 (2013): red changes fastest.
    """
    rows = np.moveaxis(nodes, (0, 1, 2), (2, 1, 0)).reshape(-1, 3)
    lines = [f'TITLE "{title}"', f"LUT_3D_SIZE {len(nodes)}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows.tolist()]
    write_bytes(path, ("\n".join(lines) + "\n").encode("ascii", "replace"))


def hald_colors(size: int) -> np.ndarray:
    """Input colors of the smallest HaldCLUT with at least `size` nodes per axis.

    Returns:
        float32 `[L^3, L^3, 3]` in [0, 1], for level L with L^2 nodes per axis; red changes fastest.
    """
    level = math.isqrt(size - 1) + 1
    axis = np.linspace(0, 1, level**2, dtype=np.float32)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.stack([red, green, blue], axis=-1).reshape(level**3, level**3, 3)


def write_hald(path: pathlib.Path, colors: np.ndarray) -> None:
    """Write the output colors for `hald_colors`, RGB in [0, 1], as a PNG of 16 bits."""
    content = io.BytesIO()
    Image.new("RGB", (1, 1)).save(content, "PNG")
    write_bytes(path, with_wide_pixels(content.getvalue(), from_float(colors, np.uint16)))
