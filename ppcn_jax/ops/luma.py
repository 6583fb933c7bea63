"""Luma of ITU-R BT.601, in the three forms that photos and published results use.

    constants                      black .. white   used for
    FULL_RANGE_WEIGHTS             0 .. 1           gray photos, as Pillow and JPEG define them
    TENSORFLOW_WEIGHTS             0 .. 0.9999      the discriminator: tf.image.rgb_to_grayscale
    STUDIO_WEIGHTS, STUDIO_BLACK   16/255..235/255  super-resolution scores and VDSR: Y of MATLAB

All are for RGB in [0, 1], in the order R, G, B.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

FULL_RANGE_WEIGHTS = (0.299, 0.587, 0.114)
TENSORFLOW_WEIGHTS = (0.2989, 0.587, 0.114)
STUDIO_WEIGHTS = (65.481 / 255, 128.553 / 255, 24.966 / 255)
STUDIO_BLACK = 16 / 255
STUDIO_TO_FULL_RANGE = 255 / 219  # factor for differences of Y


def weighted_channels(
    images: "jax.Array", weights: Sequence[float], offset: "float | jax.Array" = 0.0
) -> "jax.Array":
    """Sum of the weighted channels of `[..., C]` plus an offset: `[..., 1]` of the same type."""
    import jax.numpy as jnp  # here, since the constants are used without JAX too

    weighted = (images[..., i : i + 1] * weight for i, weight in enumerate(weights))
    return sum(weighted, start=jnp.asarray(offset, images.dtype))
