"""Mean and variance of maps over height and width, in float32 whatever their type."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Moments(NamedTuple):
    """Mean and biased variance, float32."""

    mean: jax.Array
    variance: jax.Array


def spatial_mean(x: jax.Array, border: int = 0) -> jax.Array:
    """Mean over height and width of `[N, H, W, C]`, float32 `[N, 1, 1, C]`.

    Two stages, because a single float32 sum over a large image loses digits in other runtimes that
    run an exported network. `border` pixels on each side do not count; they are cut off where each
    stage sums, since compilers copy what is cut off in both directions at once.
    """
    means = row_mean(x, border)
    if border:
        means = means[:, border : x.shape[1] - border]
    return means.mean(axis=1, keepdims=True)


def spatial_moments(x: jax.Array, border: int = 0) -> Moments:
    """Moments over height and width of `[N, H, W, C]`, float32 `[N, 1, 1, C]` each.

    `border` pixels on each side do not count.
    """
    mean = spatial_mean(x, border)
    return Moments(mean, spatial_mean(jnp.square(x.astype(jnp.float32) - mean), border))


def row_mean(x: jax.Array, border: int = 0) -> jax.Array:
    """Mean over the width of `[N, H, W, C]` without its first and last `border` columns.

    Returns float32 `[N, H, 1, C]`.
    """
    if border:
        x = x[:, :, border : x.shape[2] - border]
    return x.astype(jnp.float32).mean(axis=2, keepdims=True)


def row_moments(x: jax.Array, border: int = 0) -> Moments:
    """Moments over the width of `[N, H, W, C]` without its first and last `border` columns.

    Returns float32 `[N, H, 1, C]` each.
    """
    mean = row_mean(x, border)
    return Moments(mean, row_mean(jnp.square(x.astype(jnp.float32) - mean), border))
