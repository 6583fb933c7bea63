"""Layers in the operators that GPUs of phones have, for TFLite files.

LiteRT's GPU accelerator takes no operator that reverses an axis, and no array above four dimensions.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext
from jax import lax

from ppcn_jax.models.layers import Reflection, layer_input
from ppcn_jax.models.super_resolver import DepthToSpace
from ppcn_jax.ops.folding import DIMENSIONS


def mobile_layers() -> AbstractContextManager[None]:
    """Run networks in another form, with the same results.

    `Reflection` does nothing, so that images must be continued already, and `DepthToSpace` is a
    transposed convolution.
    """

    def replace(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        if isinstance(context.module, Reflection):
            return layer_input(args, kwargs)
        if isinstance(context.module, DepthToSpace):
            return spread_channels(layer_input(args, kwargs), context.module.scale)
        return call(*args, **kwargs)

    return nn.intercept_methods(replace)


def spread_channels(x: jax.Array, scale: int) -> jax.Array:
    """`depth_to_space` as a transposed convolution: every product but one of a sum is 0."""
    channels = np.arange(x.shape[3])
    color, pixel = np.divmod(channels, scale**2)
    row, column = np.divmod(pixel, scale)
    kernel = np.zeros((scale, scale, len(channels), len(channels) // scale**2), np.float32)
    kernel[scale - 1 - row, scale - 1 - column, channels, color] = 1
    return lax.conv_general_dilated(
        x,
        jnp.asarray(kernel),
        window_strides=(1, 1),
        padding=[(scale - 1, scale - 1)] * 2,
        lhs_dilation=(scale, scale),
        dimension_numbers=DIMENSIONS,
        precision=lax.Precision.HIGHEST,
    )
