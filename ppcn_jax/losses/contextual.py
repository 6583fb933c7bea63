"""Contextual loss: compares each feature with the best match at any position.

Symbols: Y_i are features of the enhanced image, T_j of the target; mu is the center of T, d_ij a
distance and A_ij the affinity of Y_i to T_j.
"""

import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.losses.arguments import as_float_pair
from ppcn_jax.ops.column_maxima import column_maxima

# Keeps d_ij / min_k d_ik finite where a feature has an exact match (the paper's epsilon).
DISTANCE_EPSILON = 1e-5
# Keeps the direction of a feature that equals the center finite; features have norms of order 10.
NORM_FLOOR = 1e-6
# Entries of A in memory at once: 4 MiB of float32. Smaller matrices, such as those of the 12 x 12
# maps of training patches, are computed at once, for all images of a batch together.
BLOCK_ENTRIES = 2**20


def contextual(
    prediction: jax.Array,
    target: jax.Array,
    *,
    bandwidth: float = 0.5,
    distance: Literal["cosine", "l2"] = "cosine",
    axis_name: str | None = None,
) -> jax.Array:
    """Contextual loss between two feature maps.

    d~_ij = d_ij / (min_k d_ik + 1e-5),  A_ij = softmax_j((1 - d~_ij) / h)
    CX = -log(mean_j max_i A_ij)

    cosine: d_ij = (1 - cos(Y_i - mu, T_j - mu)) / 2, mu the mean of T over batch and space
    l2:     d_ij = |Y_i - T_j|^2, uncentered

    Args:
        prediction: Y, float `[N, H, W, C]`, at least one position.
        target: T, the same shape.
        bandwidth: h; smaller values demand sharper matches.
        distance: "cosine" (the paper's) or "l2".
        axis_name: mapped axis of a data-parallel step. mu is then averaged over all devices, so
            that the loss does not depend on how the batch is split.

    Returns:
        float32 `[N]`, >= 0; near 0 when every target feature is the clear best match of some
        feature of the prediction; smallest for identical images. The result is exact (nothing is
        sampled), yet memory grows linearly with H W: maps of more than 1024 positions are
        compared one image at a time in blocks of rows, for which only reverse-mode gradients
        exist.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, unequal shapes, or an unknown distance.

    Reference:
        Eqs. 1 and 2; Mechrez et al., The Contextual Loss, ECCV 2018. The exponent of Eq. 2 is
        read as (1 - d~) / h; the centering follows Mechrez et al.
    """
    prediction, target = as_float_pair(prediction, target)
    if distance not in ("cosine", "l2"):
        raise ValueError(f"distance must be 'cosine' or 'l2', got {distance!r}")
    y, t = _positions(prediction), _positions(target)
    affinities: Callable[..., jax.Array] = _l2_affinities
    shared: tuple[jax.Array, ...] = (jnp.asarray(bandwidth, y.dtype),)
    if distance == "cosine":
        center = jnp.mean(target, axis=(0, 1, 2))
        if axis_name is not None:
            center = lax.pmean(center, axis_name)
        t = _directions(t - center[None, None])
        affinities, shared = _cosine_affinities, (*shared, center)
    positions = y.shape[1]
    if positions**2 <= BLOCK_ENTRIES:
        largest = jax.vmap(lambda y, t: jnp.max(affinities(y, t, *shared), axis=0))(y, t)
    else:
        block = max(1, BLOCK_ENTRIES // positions)
        largest = _largest_in_blocks(affinities, block, y, t, *shared)
    return -jnp.log(jnp.mean(largest, axis=1))


# Jitted so that repeated calls outside of jit compile only once.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _largest_in_blocks(
    affinities: Callable[..., jax.Array],
    block: int,
    y: jax.Array,
    t: jax.Array,
    *shared: jax.Array,
) -> jax.Array:
    return lax.map(lambda pair: column_maxima(affinities, block, *pair, *shared), (y, t))


def _positions(features: jax.Array) -> jax.Array:
    return features.reshape(features.shape[0], -1, features.shape[3])


def _directions(x: jax.Array) -> jax.Array:
    energy = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x * lax.rsqrt(jnp.maximum(energy, NORM_FLOOR**2))


# Both return rows of A, for some features y of one prediction and all features t of its target.
# Here t are directions already, computed once; those of y are computed for each block of rows.
def _cosine_affinities(
    y: jax.Array, t: jax.Array, bandwidth: jax.Array, center: jax.Array
) -> jax.Array:
    y = _directions(y - center[None])
    return _affinities((1 - _products(y, t)) / 2, bandwidth)


def _l2_affinities(y: jax.Array, t: jax.Array, bandwidth: jax.Array) -> jax.Array:
    energy_y, energy_t = (jnp.sum(jnp.square(x), axis=1) for x in (y, t))
    squares = energy_y[:, None] + energy_t[None, :] - 2 * _products(y, t)
    return _affinities(jnp.maximum(squares, 0), bandwidth)


def _products(y: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.einsum("ic,jc->ij", y, t, precision=lax.Precision.HIGHEST)


def _affinities(d: jax.Array, bandwidth: jax.Array) -> jax.Array:
    relative = d / (jnp.min(d, axis=1, keepdims=True) + DISTANCE_EPSILON)
    return jax.nn.softmax((1 - relative) / bandwidth, axis=1)
