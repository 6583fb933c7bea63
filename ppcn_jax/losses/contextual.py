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

from ppcn_jax.losses.arguments import as_float_pair, as_mask, choice, number, selected
from ppcn_jax.ops.column_maxima import column_maxima
from ppcn_jax.ops.compiled import compiled

# Keeps d_ij / min_k d_ik finite where a feature has an exact match (the paper's epsilon).
DISTANCE_EPSILON = 1e-5
# Keeps the direction of a feature that equals the center finite; features have norms of order 10.
NORM_FLOOR = 1e-6
# Entries of A in memory at once: 4 MiB of float32. If one image has fewer, as the 12 x 12 maps of
# training patches, the matrices of all images are computed at once. Otherwise the images share this
# number, but a block has at least `LEAST_ROWS` rows of each, for the sake of its matrix product.
BLOCK_ENTRIES, LEAST_ROWS = 2**20, 32


@compiled
def contextual(
    prediction: jax.Array,
    target: jax.Array,
    *,
    bandwidth: float = 0.5,
    distance: Literal["cosine", "l2"] = "cosine",
    axis_name: str | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    """Contextual loss between two feature maps.

    d~_ij = d_ij / (min_k d_ik + 1e-5),  A_ij = softmax_j((1 - d~_ij) / h)
    CX = -log(mean_j max_i A_ij)

    cosine: d_ij = (1 - cos(Y_i - mu, T_j - mu)) / 2, mu the mean of T over batch and space
    l2:     d_ij = |Y_i - T_j|^2, uncentered

    Args:
        prediction: Y, float `[N, H, W, C]`, at least one position.
        target: T, the same shape.
        bandwidth: h > 0; smaller values demand sharper matches.
        distance: "cosine" (the paper's) or "l2".
        axis_name: mapped axis of a data-parallel step. mu is then averaged over all devices, so
            that the loss does not depend on how the batch is split.
        where: bool, broadcastable to `[N, H, W, 1]`: positions that count, None for all. The others
            are as absent from both maps; an image without any has the loss 0.

    Returns:
        float32 `[N]`, >= 0; near 0 when every target feature is the clear best match of some
        feature of the prediction; smallest for identical images. `contextual_map` has the value of
        each position. The result is exact (nothing is sampled), yet memory grows linearly with H W:
        maps of more than 1024 positions are compared in blocks of rows, also for derivatives of any
        order and mode. (If H or W is symbolic in an export, the complete matrix is computed.)

    Raises:
        TypeError: an input is not floating, `bandwidth` is not a number, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, no positions, an unknown distance, a
            bandwidth of 0 or less, or `where` does not broadcast.

    Reference:
        Eqs. 1 and 2; Mechrez et al., The Contextual Loss, ECCV 2018. The exponent of Eq. 2 is
        read as (1 - d~) / h; the centering follows Mechrez et al.

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.contextual(f[:, ::-1] + 0.5, f)
        Array([0.8590921, 0.8521971], dtype=float32)
    """
    largest, keep = _similarities(prediction, target, bandwidth, distance, axis_name, where)
    if keep is None:
        return -jnp.log(jnp.mean(largest, axis=1))
    count = jnp.sum(keep, axis=1, dtype=largest.dtype)
    mean = jnp.sum(largest, axis=1) / jnp.maximum(count, 1)
    return jnp.where(count > 0, -jnp.log(jnp.where(count > 0, mean, 1)), 0)


@compiled
def contextual_map(
    prediction: jax.Array,
    target: jax.Array,
    *,
    bandwidth: float = 0.5,
    distance: Literal["cosine", "l2"] = "cosine",
    axis_name: str | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    """Contextual similarity of each position of the target: max_i A_ij.

    The contextual loss is the negative logarithm of its mean; see `contextual` for the symbols.

    Args:
        prediction: Y, float `[N, H, W, C]`, at least one position.
        target: T, the same shape.
        bandwidth: h > 0.
        distance: "cosine" or "l2".
        axis_name: mapped axis of a data-parallel step, as in `contextual`.
        where: bool, broadcastable to `[N, H, W, 1]`: positions that count, None for all.

    Returns:
        float32 `[N, H, W]` in [0, 1]; near 1 where the target's feature is the clear best match of
        some feature of the prediction, 0 where `where` is False.

    Raises:
        TypeError: an input is not floating, `bandwidth` is not a number, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, no positions, an unknown distance, a
            bandwidth of 0 or less, or `where` does not broadcast.

    Reference:
        Eqs. 1 and 2; Mechrez et al., The Contextual Loss, ECCV 2018.

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.contextual_map(f[:, ::-1], f).shape
        (2, 4, 4)
    """
    largest, _ = _similarities(prediction, target, bandwidth, distance, axis_name, where)
    return largest.reshape(jnp.shape(target)[:3])


def _similarities(
    prediction: jax.Array,
    target: jax.Array,
    bandwidth: float,
    distance: str,
    axis_name: str | None,
    where: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """The largest affinity of each target feature, and which of them count, `[N, P]` each."""
    prediction, target = as_float_pair(prediction, target)
    choice("distance", distance, ("cosine", "l2"))
    scale = jnp.asarray(number("bandwidth", bandwidth, target.dtype), target.dtype)
    mask = as_mask(where, target[..., :1])
    y, t = (_positions(selected(x, mask)) for x in (prediction, target))
    affinities: Callable[..., jax.Array] = _l2_affinities
    shared: tuple[jax.Array, ...] = (scale,)
    if distance == "cosine":
        center = _center(selected(target, mask), mask, axis_name)
        t = directions(t - center[None, None])
        affinities, shared = _cosine_affinities, (scale, center)
    keep = None
    if mask is not None:
        keep = mask.reshape(t.shape[:2])
        y = jnp.concatenate([y, keep[..., None].astype(y.dtype)], axis=2)
    best = _best_matches(affinities, y.shape)
    best = jax.vmap(best, in_axes=(0, 0, 0, *len(shared) * [None]))
    return best(y, t, keep, *shared), keep


def _center(target: jax.Array, mask: jax.Array | None, axis_name: str | None) -> jax.Array:
    """Mean over batch and space of the positions that count, of all devices."""
    if mask is None:
        center = jnp.mean(target, axis=(0, 1, 2))
        return center if axis_name is None else lax.pmean(center, axis_name)
    total, count = jnp.sum(target, axis=(0, 1, 2)), jnp.sum(mask, dtype=target.dtype)
    if axis_name is not None:
        total, count = lax.psum((total, count), axis_name)
    return total / jnp.maximum(count, 1)


def _best_matches(
    affinities: Callable[..., jax.Array], shape: tuple[int, ...]
) -> Callable[..., jax.Array]:
    """The function `(y, t, keep, *shared) -> max_i A_ij` of an image, for y of this shape."""
    images, positions, _ = shape
    if not isinstance(positions, int) or positions**2 <= BLOCK_ENTRIES:
        return lambda y, *operands: jnp.max(affinities(y, *operands), axis=0)
    # Without a loop over images, which would gather a batch that is sharded over devices.
    shared_by = images if isinstance(images, int) and images else 1
    block = max(LEAST_ROWS, BLOCK_ENTRIES // (positions * shared_by))
    return functools.partial(column_maxima, affinities, min(block, positions))


def _positions(features: jax.Array) -> jax.Array:
    n, height, width, channels = features.shape
    return features.reshape(n, height * width, channels)


def directions(x: jax.Array) -> jax.Array:
    """Unit vectors along the last axis; a vector of zeros stays one."""
    energy = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x * lax.rsqrt(jnp.maximum(energy, NORM_FLOOR**2))


# Both return rows of A, for some features y of one prediction and all features t of its target.
# Here t are directions already, computed once; those of y are computed for each block of rows.
# `keep`, if given, marks the features t that count, and the last channel of y those of y.
def _cosine_affinities(
    y: jax.Array,
    t: jax.Array,
    keep: jax.Array | None,
    bandwidth: jax.Array,
    center: jax.Array,
) -> jax.Array:
    features = directions((y if keep is None else y[:, :-1]) - center[None])
    return _affinities((1 - _products(features, t)) / 2, bandwidth, y, keep)


def _l2_affinities(
    y: jax.Array, t: jax.Array, keep: jax.Array | None, bandwidth: jax.Array
) -> jax.Array:
    features = y if keep is None else y[:, :-1]
    energy_y, energy_t = (jnp.sum(jnp.square(x), axis=1) for x in (features, t))
    squares = energy_y[:, None] + energy_t[None, :] - 2 * _products(features, t)
    return _affinities(jnp.maximum(squares, 0), bandwidth, y, keep)


def _products(y: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.einsum("ic,jc->ij", y, t, precision=lax.Precision.HIGHEST)


def _affinities(
    d: jax.Array, bandwidth: jax.Array, y: jax.Array, keep: jax.Array | None
) -> jax.Array:
    if keep is None:
        relative = d / (jnp.min(d, axis=1, keepdims=True) + DISTANCE_EPSILON)
        return jax.nn.softmax((1 - relative) / bandwidth, axis=1)
    columns = jnp.broadcast_to(keep[None], d.shape)
    nearest = jnp.min(d, axis=1, keepdims=True, where=columns, initial=jnp.inf)
    logits = (1 - d / (nearest + DISTANCE_EPSILON)) / bandwidth
    a = jax.nn.softmax(logits, axis=1, where=columns)
    return jnp.where(y[:, -1:] > 0, a, 0)
