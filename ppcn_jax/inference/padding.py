"""Padded images: a network's output does not depend on pixels below and right of the image."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.module import InterceptorContext

from ppcn_jax.models.layers import Conv, Statistics, layer_input
from ppcn_jax.ops.moments import Moments

Size = tuple[int | jax.Array, int | jax.Array]


def hide_padding(size: Size, padded: tuple[int, int]) -> Callable[..., Any]:
    """Interceptor that hides padding from convolutions and statistics.

    Convolutions see zeros there, as outside of an image, and statistics see the image only.

    Args:
        size: height and width of the image, as numbers or as int32 scalars that a program is
            called with. For a strided network both are multiples of its scale, or equal `padded`.
        padded: height and width with the padding below and on the right.
    """

    unpadded = all(isinstance(side, int) for side in size) and size == padded

    def intercept(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        if unpadded or not isinstance(context.module, Conv | Statistics):
            return call(*args, **kwargs)
        x = layer_input(args, kwargs)
        # Fewer rows and columns after strided convolutions.
        rows, columns = (
            side * now // before
            for side, now, before in zip(size, x.shape[1:3], padded, strict=True)
        )
        inside = (jnp.arange(x.shape[1]) < rows)[None, :, None, None]
        inside &= (jnp.arange(x.shape[2]) < columns)[None, None, :, None]
        if isinstance(context.module, Conv):
            return call(jnp.where(inside, x, 0))
        return _moments(x.astype(jnp.float32), inside, rows, columns)

    return intercept


def row_moments_inside(x: jax.Array, columns: jax.Array) -> Moments:
    """Moments over the first columns of `[N, H, W, C]`, float32 `[N, H, 1, C]` each."""
    x = x.astype(jnp.float32)
    inside = (jnp.arange(x.shape[2]) < columns)[None, None, :, None]

    def mean(values: jax.Array) -> jax.Array:
        return jnp.where(inside, values, 0).sum(axis=2, keepdims=True) / columns

    average = mean(x)
    return Moments(average, mean(jnp.square(x - average)))


def _moments(
    x: jax.Array, inside: jax.Array, rows: int | jax.Array, columns: int | jax.Array
) -> Moments:
    # Two stages, as in ops/moments.py.
    def mean(values: jax.Array) -> jax.Array:
        over_columns = jnp.where(inside, values, 0).sum(axis=2, keepdims=True) / columns
        return over_columns.sum(axis=1, keepdims=True) / rows

    average = mean(x)
    return Moments(average, mean(jnp.square(x - average)))
