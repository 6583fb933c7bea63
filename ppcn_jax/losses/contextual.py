"""Contextual loss: features need a similar partner anywhere, not at the same place.

Names: Y features of the enhanced image at positions i, T of the target at positions j;
mu their center; d_ij a distance, A_ij the affinity of i to j.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.losses.arguments import as_float_pair

# Keeps d_ij / min_k d_ik finite where a feature has an exact partner (the paper's epsilon).
DISTANCE_EPSILON = 1e-5
# Keeps the direction of a feature that equals the center finite; features are of order 10.
NORM_FLOOR = 1e-6


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
        bandwidth: h; smaller asks for a sharper match.
        distance: "cosine" is the paper's.
        axis_name: mapped axis of a data-parallel step. mu is then the mean over all devices, so
            that the loss does not depend on how the batch is divided.

    Returns:
        float32 `[N]`, >= 0; near 0 when every target feature is the clear best match of some
        feature of the prediction. Memory grows with (H W)^2.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, unequal shapes, or an unknown distance.

    Reference:
        Eqs. 1 and 2; Mechrez et al., The Contextual Loss, ECCV 2018. Eq. 2's exponent is read
        as (1 - d~) / h; the centering is Mechrez et al.'s.
    """
    prediction, target = as_float_pair(prediction, target)
    if distance not in ("cosine", "l2"):
        raise ValueError(f"distance must be 'cosine' or 'l2', got {distance!r}")
    if distance == "cosine":
        d = _cosine_distances(prediction, target, axis_name)
    else:
        d = _squared_distances(_positions(prediction), _positions(target))
    relative = d / (jnp.min(d, axis=2, keepdims=True) + DISTANCE_EPSILON)
    affinity = jax.nn.softmax((1 - relative) / bandwidth, axis=2)
    return -jnp.log(jnp.mean(jnp.max(affinity, axis=1), axis=1))


def _positions(features: jax.Array) -> jax.Array:
    return features.reshape(features.shape[0], -1, features.shape[3])


def _cosine_distances(prediction, target, axis_name) -> jax.Array:
    center = jnp.mean(target, axis=(0, 1, 2))
    if axis_name is not None:
        center = lax.pmean(center, axis_name)
    y, t = (_directions(_positions(x) - center[None, None]) for x in (prediction, target))
    return (1 - _products(y, t)) / 2


def _directions(x: jax.Array) -> jax.Array:
    energy = jnp.sum(jnp.square(x), axis=2, keepdims=True)
    return x * lax.rsqrt(jnp.maximum(energy, NORM_FLOOR**2))


def _squared_distances(y: jax.Array, t: jax.Array) -> jax.Array:
    energy_y, energy_t = (jnp.sum(jnp.square(x), axis=2) for x in (y, t))
    squares = energy_y[:, :, None] + energy_t[:, None, :] - 2 * _products(y, t)
    return jnp.maximum(squares, 0)


def _products(y: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.einsum("nic,njc->nij", y, t, precision=lax.Precision.HIGHEST)
