"""Losses of edges and details: differences of neighbors, and levels of the Laplacian pyramid."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ppcn_jax.losses.arguments import (
    as_float_pair,
    as_mask,
    check_known_sides,
    check_sides,
    integer,
)
from ppcn_jax.losses.pixel import absolute
from ppcn_jax.losses.total_variation import differences, sum_of_means
from ppcn_jax.ops.compiled import compiled
from ppcn_jax.ops.gaussian import filter_planes

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


@compiled
def gradient(
    prediction: jax.Array, target: jax.Array, *, where: jax.Array | None = None
) -> jax.Array:
    """Mean absolute difference of image gradients: mean |d_y y - d_y t| + mean |d_x y - d_x t|.

    Args:
        prediction: y, float `[N, H, W, C]`, both sides at least 2 px.
        target: t, the same shape and range.
        where: bool, broadcastable to the images: the pixels that count, None for all. A difference
            of neighbors counts if both pixels do.

    Returns:
        float32 `[N]` in units of pixel values, >= 0; 0 means equal up to a constant per channel.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, a side below 2, or `where` does not
            broadcast.

    Reference:
        The last terms of Eigen and Fergus, Predicting Depth, Surface Normals and Semantic Labels,
        ICCV 2015, Eq. 1, with absolute values instead of squares.

    Example:
        >>> y = jnp.zeros((2, 8, 8, 3)).at[:, 4:].set(1)  # one edge
        >>> losses.gradient(y, jnp.zeros((2, 8, 8, 3)))
        Array([0.14285715, 0.14285715], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    check_sides("the gradient loss", prediction, 2)
    # Differences are linear: d(y) - d(t) = d(y - t).
    down, right = differences(prediction - target, as_mask(where, prediction))
    return sum_of_means((absolute(down[0]), down[1]), (absolute(right[0]), right[1]))


@compiled
def laplacian(prediction: jax.Array, target: jax.Array, *, levels: int = 5) -> jax.Array:
    """Mean absolute differences of the levels of the Laplacian pyramid.

    Lap = sum_{j < levels} mean |L_j(y) - L_j(t)|,  L_j = G_j - up(G_{j+1}),  G_{j+1} = down(G_j)

    down blurs with [1, 4, 6, 4, 1] / 16, continued by the edges, and keeps every second pixel, up
    interpolates with the same weights. The last L_j is G_j itself.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        levels: of the pyramid, with the blurred image as the last; 1 gives the mean absolute error.

    Returns:
        float32 `[N]` in units of pixel values, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating, or `levels` is not an integer.
        ValueError: a rank other than 4, unequal shapes, no levels, or sides that are symbolic in
            an export.

    Reference:
        Bojanowski et al., Optimizing the Latent Space of Generative Networks, ICML 2018, section
        3.2: its weights 4^j of sums over pixels are equal weights of means. The pyramid is that of
        Burt and Adelson, The Laplacian Pyramid as a Compact Image Code, 1983.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.laplacian(y, t)
        Array([0.25, 0.25], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    check_known_sides("the Laplacian loss", prediction)
    # The pyramid is linear.
    current, details = jnp.moveaxis(prediction - target, 3, 1), []
    for _ in range(integer("levels", levels, most=32) - 1):
        blurred = _down(current)
        height, width = current.shape[2:]
        details.append(current - _up(blurred)[:, :, :height, :width])
        current = blurred
    means = [jnp.mean(absolute(level), axis=(1, 2, 3)) for level in (*details, current)]
    return sum(means[1:], means[0])


def _down(planes: jax.Array) -> jax.Array:
    """Blur planes `[N, C, H, W]` and keep every second row and column."""
    return filter_planes(_with_edges(planes, 2), BINOMIAL, same=False)[:, :, ::2, ::2]


def _up(planes: jax.Array) -> jax.Array:
    """Interpolate planes `[N, C, H, W]` to twice the sides, those of `_down` at even places."""
    planes = _with_edges(planes, 1)
    zero = jnp.zeros((), planes.dtype)
    sparse = lax.pad(planes, zero, [(0, 0, 0), (0, 0, 0), (0, 1, 1), (0, 1, 1)])
    return filter_planes(sparse, 2 * BINOMIAL, same=False)


def _with_edges(planes: jax.Array, count: int) -> jax.Array:
    """Repeat the edges of planes `[N, C, H, W]` on each side."""
    for axis in (2, 3):
        first = lax.slice_in_dim(planes, 0, 1, axis=axis)
        last = lax.slice_in_dim(planes, -1, None, axis=axis)
        planes = jnp.concatenate([first] * count + [planes] + [last] * count, axis=axis)
    return planes
