"""Mean and variance of maps over height and width, in float32 whatever their type."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.ops.portable import exporting

# Squared mean over variance up to which a difference of squares is used: times 6e-8, the rounding
# of float32, it is the error.
_CANCELLATION = 64


class Moments(NamedTuple):
    """Mean and biased variance, float32."""

    mean: jax.Array
    variance: jax.Array


def spatial_mean(x: jax.Array) -> jax.Array:
    """Mean over height and width in float32, kept as `[N, 1, 1, C]`.

    Two stages, because a single float32 sum over a large image loses digits in other runtimes
    that run an exported network.

    Args:
        x: `[N, H, W, C]`.

    Returns:
        float32 `[N, 1, 1, C]`.
    """
    return x.astype(jnp.float32).mean(axis=2, keepdims=True).mean(axis=1, keepdims=True)


def spatial_moments(x: jax.Array, rows: Moments | None = None) -> Moments:
    """Moments over height and width, each kept as `[N, 1, 1, C]`.

    Args:
        x: `[N, H, W, C]`.
        rows: of a single image's rows, where they are known.

    Returns:
        float32 `[N, 1, 1, C]` each.
    """
    # Of several images none may decide how the others, maybe on other devices, are computed.
    if not exporting() and x.shape[0] == 1:
        return _moments_of_one(x, rows or row_moments(lax.stop_gradient(x)))
    mean = spatial_mean(x)
    return Moments(mean, spatial_mean(jnp.square(x.astype(jnp.float32) - mean)))


@jax.custom_jvp
def _moments_of_one(x: jax.Array, rows: Moments) -> Moments:
    mean = rows.mean.mean(axis=1, keepdims=True)
    variances = rows.variance + jnp.square(rows.mean - mean)
    return Moments(mean, variances.mean(axis=1, keepdims=True))


@_moments_of_one.defjvp
def _moments_derivative(primals, tangents):
    x, tangent = primals[0], tangents[0].astype(jnp.float32)
    moments = _moments_of_one(*primals)
    centered = x.astype(jnp.float32) - moments.mean
    return moments, Moments(spatial_mean(tangent), spatial_mean(2 * centered * tangent))


def row_moments(x: jax.Array) -> Moments:
    """Moments over the width of one image, each kept as `[1, H, 1, C]`.

    On processors the variance is E[x^2] - E[x]^2, which saves the deviations from the mean in
    memory, unless some squared mean is so many times its variance that digits are lost.

    Args:
        x: `[1, H, W, C]`.

    Returns:
        float32 `[1, H, 1, C]` each.
    """

    def by_squares(x: jax.Array) -> Moments:
        return moments_of_sums(row_sums(x), x.shape[2], lambda: x)

    return lax.platform_dependent(x, cpu=by_squares, default=by_deviations)


def by_deviations(x: jax.Array) -> Moments:
    """`row_moments` by the deviations from the mean, exact everywhere."""
    x = x.astype(jnp.float32)
    mean = x.mean(axis=2, keepdims=True)
    return Moments(mean, jnp.square(x - mean).mean(axis=2, keepdims=True))


def row_sums(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sums over the width, of values and of their squares, in float32.

    Args:
        x: `[N, H, W, C]`.

    Returns:
        float32 `[N, H, 1, C]`, twice.
    """
    x = x.astype(jnp.float32)
    return x.sum(axis=2, keepdims=True), jnp.square(x).sum(axis=2, keepdims=True)


def moments_of_sums(
    sums: tuple[jax.Array, jax.Array], width: int, image: Callable[[], jax.Array]
) -> Moments:
    """`row_moments` from the sums of an image's rows.

    Args:
        sums: as of `row_sums`.
        width: of the image.
        image: gives it, `[1, H, W, C]`, where digits would be lost without.

    Returns:
        float32 `[1, H, 1, C]` each.
    """
    mean, squares = (total / width for total in sums)
    variance = squares - jnp.square(mean)
    # Of all rows together: a row of one color has no variance, and little weight.
    over_rows = functools.partial(jnp.mean, axis=1)
    total = over_rows(variance) + jnp.var(mean, axis=1)
    exact = (over_rows(jnp.square(mean)) <= _CANCELLATION * total).all()
    return Moments(mean, lax.cond(exact, lambda: variance, lambda: by_deviations(image()).variance))
