"""Networks that continue images by reflection, run on parts of an image.

A network with `padding="reflect"` continues whole images itself. Given a part of one, it would
reflect that part: code that runs networks on parts gives the same network with zeros an image that
is already continued, and keeps the continuation out of the statistics.
"""

from typing import TYPE_CHECKING

import numpy as np

from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.structure import Structure, structure_of_module

if TYPE_CHECKING:
    import flax.linen as nn


def border_of(structure: Structure) -> int:
    """Pixels by which a network continues images on each side; 0 if it does not."""
    return reach(structure) if structure.reflects else 0


def without_reflection(module: "nn.Module") -> tuple["nn.Module", int]:
    """The same network for images that are already continued, and by how many pixels on each side.

    The network itself and 0 if it does not continue images.
    """
    if getattr(module, "padding", "zeros") == "zeros":
        return module, 0
    return module.clone(padding="zeros"), border_of(structure_of_module(module))


def continue_by_reflection(
    image: np.ndarray, border: int, first: int = 0, last: int | None = None
) -> np.ndarray:
    """Continue an image as `ops.reflection.reflect` does, or only some rows of the result.

    Args:
        image: `[H, W, C]`, H and W larger than the border.
        border: pixels on each side.
        first: the first row to return, counted from the top of the continued image.
        last: the row after the last one; by default all rows are returned.

    Returns:
        `[last - first, W + 2 border, C]`.
    """
    height = len(image)
    if last is None:
        last = height + 2 * border
    if border <= first and last <= height + border:
        rows = image[first - border : last - border]
    else:
        indices = np.abs(np.arange(first, last) - border)
        rows = image[np.minimum(indices, 2 * (height - 1) - indices)]
    return np.pad(rows, [(0, 0), (border, border), (0, 0)], mode="reflect") if border else rows
