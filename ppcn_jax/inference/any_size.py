"""Run a network on images of many sizes with few compiled programs, as evaluations do.

Each image is padded to a size that it shares with others, and the padding is hidden from the
network. Large images are computed in bands of rows. Whatever the memory of the machine, the same
image and parameters go through the same programs.
"""

import flax.linen as nn
import numpy as np

from ppcn_jax.inference.enhance import WHOLE_PIXELS
from ppcn_jax.inference.jax_programs import JaxPrograms
from ppcn_jax.inference.padding import apply_padded
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.streaming import stream
from ppcn_jax.models.definitions import SMALLEST_SIDE, Params

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
    canvas = shared_side(height, scale), shared_side(width, scale)
    return apply_padded(module, params, image, canvas)


def _in_bands(module: nn.Module, params: Params, image: np.ndarray, scale: int) -> np.ndarray:
    padded_width = shared_side(image.shape[1], scale)
    programs = JaxPrograms(module, params, padded_width)
    band = max(_BAND_PIXELS // padded_width, 2 * reach(programs.structure))
    output = np.empty(image.shape, np.float32)
    # Nothing is kept between passes: that would save a quarter of the student's time, but take
    # 64 bytes per pixel, beside the memory of a training run.
    for first, rows in stream(programs, image, band=band):
        output[first : first + len(rows)] = rows
    return output
