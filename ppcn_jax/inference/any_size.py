"""Run a network on images of many sizes with few compiled programs, as evaluations do.

Each image is padded to a size that it shares with others, and the padding is hidden from the
network. Large images are computed in bands of rows. Whatever the memory of the machine, the same
image and parameters go through the same programs.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.inference.borders import continue_by_reflection, without_reflection
from ppcn_jax.inference.enhance import WHOLE_PIXELS, apply_network
from ppcn_jax.inference.padding import hide_padding
from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.streaming import stream
from ppcn_jax.models.layers import SMALLEST_SIDE, Params

# Pixels of a band, at least; a larger one needs more memory and is not faster.
_BAND_PIXELS = 2**18
# The side of DPED's test patches, which would otherwise be padded to 112.
_PATCH_SIDE = 100


def shared_side(side: int, scale: int = 1) -> int:
    """The length to which a side is padded, px: four per octave (..., 512, 640, 768, 896, 1024).

    It is a multiple of `scale`. A side of 100 px stays as it is, as do the lengths themselves.
    """
    step = max(2 ** (side - 1).bit_length() // 8, 4)
    padded = -(-side // step) * step
    if side <= _PATCH_SIDE < padded and padded - side < step:
        padded = min(padded, _PATCH_SIDE)
    return -(-padded // scale) * scale


def shares_size(height: int, width: int, scale: int = 1) -> bool:
    """Check if images of this size need no padding."""
    return (height, width) == (shared_side(height, scale), shared_side(width, scale))


def apply_to_any_size(module: nn.Module, params: Params, image: np.ndarray) -> np.ndarray:
    """A network's output for one image.

    Programs are shared by images that `shared_side` pads to the same size. Images of more than
    2 megapixels are computed in bands of rows, and share programs by their width. A strided network
    gets images whose sides are no multiples of its scale as they are, each size with its own
    program.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        image: uint8 `[H, W, 3]` or float in [0, 1]; H and W >= 16.

    Returns:
        float32 `[H, W, 3]`, unclipped; that of the exact program up to rounding.

    Raises:
        ValueError: a side below 16 px.
    """
    height, width = image.shape[:2]
    scale = getattr(module, "scale", 1)
    if height % scale or width % scale or min(height, width) < SMALLEST_SIDE:
        return np.asarray(apply_network(module, params, image))
    if height * width > WHOLE_PIXELS:
        return _in_bands(module, params, image, scale)
    if shares_size(height, width, scale):
        return np.asarray(apply_network(module, params, image))
    below, right = (shared_side(side, scale) - side for side in (height, width))
    module, border = without_reflection(module)
    continued = continue_by_reflection(image, border)
    size = np.int32(continued.shape[0]), np.int32(continued.shape[1])
    padded = np.pad(continued, [(0, below), (0, right), (0, 0)])
    output = np.asarray(_apply_padded(module, border, params, padded, *size))
    return output[border : border + height, border : border + width]


def _in_bands(module: nn.Module, params: Params, image: np.ndarray, scale: int) -> np.ndarray:
    padded_width = shared_side(image.shape[1], scale)
    band = max(_BAND_PIXELS // padded_width, 2 * reach(module))
    output = np.empty(image.shape, np.float32)
    # Nothing is kept between passes: that would save a quarter of the student's time, but take
    # 64 bytes per pixel, beside the memory of a training run.
    bands = stream(module, params, image, band=band, padded_width=padded_width)
    for first, rows in bands:
        output[first : first + len(rows)] = rows
    return output


@functools.partial(BoundedJit, static_argnums=(0, 1))
def _apply_padded(
    module: nn.Module,
    border: int,
    params: Params,
    padded: jax.Array,
    height: jax.Array,
    width: jax.Array,
) -> Any:
    if padded.dtype == jnp.uint8:
        padded = padded.astype(jnp.float32) / 255
    full_height, full_width, _ = padded.shape
    with nn.intercept_methods(hide_padding((height, width), (full_height, full_width), border)):
        output: Any = module.apply({"params": params}, padded[None])
        return output[0]
