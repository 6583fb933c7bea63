"""Photos of many sizes with few compiled programs.

To compile a program takes much longer than to run it on a small photo. Photos are therefore padded
to sizes that they share, and the padding is hidden from the network: each photo goes through the
same program whatever others are processed with it. Small photos, for which the time of a run matters
least, share few sizes.
"""

import flax.linen as nn
import numpy as np

from ppcn_jax.inference.padding import apply_padded
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.models.definitions import Params

# Up to this side there are two lengths per octave, and above it eight.
_SMALL_SIDE = 512


def photo_side(side: int, scale: int = 1) -> int:
    """The length to which a side is padded, px, a multiple of `scale`.

    The lengths are ..., 192, 256, 384, 512, 576, 640, ..., 1024, 1152, ...
    """
    octave = 2 ** (side - 1).bit_length()
    step = octave // (4 if side <= _SMALL_SIDE else 16)
    padded = -(-side // step) * step
    return -(-padded // scale) * scale


def apply_to_photo(module: nn.Module, params: Params, image: np.ndarray) -> np.ndarray:
    """A network's output for one photo, by a program that photos of similar sizes share.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        image: uint8 `[H, W, 3]` or float in [0, 1]; H and W >= 16.

    Returns:
        float32 `[H, W, 3]`, unclipped; that of the exact program up to rounding.
    """
    height, width = image.shape[:2]
    scale = getattr(module, "scale", 1)
    canvas = photo_side(height, scale), photo_side(width, scale)
    if canvas == (height, width) or height % scale or width % scale:
        return np.asarray(apply_network(module, params, image))
    return apply_padded(module, params, image, canvas)
