"""Mean and variance of maps over height and width, in float32 whatever their type."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Moments(NamedTuple):
    """Mean and biased variance, float32."""

    mean: jax.Array
    variance: jax.Array


def spatial_mean(x: jax.Array) -> jax.Array:
    """Mean over height and width of `[N, H, W, C]`, float32 `[N, 1, 1, C]`.

    Two stages, because a single float32 sum over a large image loses digits in other runtimes that
    run an exported network.
    """
    return row_mean(x).mean(axis=1, keepdims=True)


def spatial_moments(x: jax.Array) -> Moments:
    """Moments over height and width of `[N, H, W, C]`, float32 `[N, 1, 1, C]` each."""
    mean = spatial_mean(x)
    return Moments(mean, spatial_mean(jnp.square(x.astype(jnp.float32) - mean)))


def row_mean(x: jax.Array) -> jax.Array:
    """Mean over the width of `[N, H, W, C]`, float32 `[N, H, 1, C]`."""
    return x.astype(jnp.float32).mean(axis=2, keepdims=True)


def row_moments(x: jax.Array) -> Moments:
    """Moments over the width of `[N, H, W, C]`, float32 `[N, H, 1, C]` each."""
    mean = row_mean(x)
    return Moments(mean, row_mean(jnp.square(x.astype(jnp.float32) - mean)))
