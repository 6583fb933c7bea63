"""Padded images: a network's output does not depend on pixels below and right of the image."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext

from ppcn_jax.inference.borders import continue_by_reflection, without_reflection
from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.models.definitions import Params
from ppcn_jax.models.layers import Conv, Statistics, layer_input
from ppcn_jax.ops.moments import Moments

Size = tuple[int | jax.Array, int | jax.Array]


def hide_padding(size: Size, padded: tuple[int, int], border: int = 0) -> Callable[..., Any]:
    """Interceptor that hides padding from convolutions and statistics.

    Convolutions see zeros there, as outside of an image, and statistics see the image only.

    Args:
        size: height and width of the image, as numbers or as int32 scalars that a program is
            called with. For a strided network both are multiples of its scale, or equal `padded`.
        padded: height and width with the padding below and on the right.
        border: pixels on each side by which the image was continued, which statistics do not see
            either; 0 for a strided network.
    """

    unpadded = all(isinstance(side, int) for side in size) and size == padded

    def intercept(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        is_convolution = isinstance(context.module, Conv)
        if not is_convolution and not isinstance(context.module, Statistics):
            return call(*args, **kwargs)
        if unpadded and (is_convolution or not border):
            return call(*args, **kwargs)
        x = layer_input(args, kwargs)
        # Fewer rows and columns after strided convolutions.
        rows, columns = (
            side * now // before
            for side, now, before in zip(size, x.shape[1:3], padded, strict=True)
        )
        edge = 0 if is_convolution else border
        inside = _between(edge, rows - edge, x.shape[1])[None, :, None, None]
        inside &= _between(edge, columns - edge, x.shape[2])[None, None, :, None]
        if is_convolution:
            return call(jnp.where(inside, x, 0))
        return _moments(x.astype(jnp.float32), inside, rows - 2 * edge, columns - 2 * edge)

    return intercept


def row_moments_inside(x: jax.Array, columns: jax.Array, border: int) -> Moments:
    """Moments over the first columns of `[N, H, W, C]` except for a border on the left and right.

    Returns float32 `[N, H, 1, C]` each.
    """
    x = x.astype(jnp.float32)
    inside = _between(border, columns - border, x.shape[2])[None, None, :, None]
    count = columns - 2 * border

    def mean(values: jax.Array) -> jax.Array:
        return jnp.where(inside, values, 0).sum(axis=2, keepdims=True) / count

    average = mean(x)
    return Moments(average, mean(jnp.square(x - average)))


def _between(first: int, last: int | jax.Array, length: int) -> jax.Array:
    """Which of the indices below `length` are from `first` on and below `last`."""
    indices = jnp.arange(length)
    return (indices >= first) & (indices < last) if first else indices < last


def _moments(
    x: jax.Array, inside: jax.Array, rows: int | jax.Array, columns: int | jax.Array
) -> Moments:
    # Two stages, as in ops/moments.py.
    def mean(values: jax.Array) -> jax.Array:
        over_columns = jnp.where(inside, values, 0).sum(axis=2, keepdims=True) / columns
        return over_columns.sum(axis=1, keepdims=True) / rows

    average = mean(x)
    return Moments(average, mean(jnp.square(x - average)))


def apply_padded(
    module: nn.Module, params: Params, image: np.ndarray, canvas: tuple[int, int]
) -> np.ndarray:
    """A network's output for one image, by a program that all images of this canvas share.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        image: uint8 `[H, W, 3]` or float in [0, 1]; for a network of scale s, H and W are
            multiples of s.
        canvas: height and width to which the image is padded, at least its own and multiples of s.

    Returns:
        float32 `[H, W, 3]`, unclipped; that of the exact program up to rounding.
    """
    height, width = image.shape[:2]
    below, right = canvas[0] - height, canvas[1] - width
    module, border = without_reflection(module)
    continued = continue_by_reflection(image, border)
    size = np.int32(continued.shape[0]), np.int32(continued.shape[1])
    padded = np.pad(continued, [(0, below), (0, right), (0, 0)])
    output = np.asarray(_apply_padded(module, border, params, padded, *size))
    return output[border : border + height, border : border + width]


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
