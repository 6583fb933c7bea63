"""Distillation of a teacher's attention into a student."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair

# Keeps the normalization of an all-zero map finite; far below the energy of real maps.
ENERGY_FLOOR = 1e-12
# Squared distance below which float32 cannot distinguish two unit vectors. The gradient of the
# norm has the same size at any distance, so below this it would amplify rounding errors.
ROUNDING_FLOOR = 1e-13


def attention(
    prediction: Sequence[jax.Array],
    target: Sequence[jax.Array],
    *,
    form: Literal["norm", "squared"] = "norm",
) -> jax.Array:
    """Distance of normalized attention maps.

    norm:    sum_j ||u_S^j - u_T^j||_2        with u = vec(Q) / ||Q||_2
    squared: sum_j 1/2 ||u_S^j - u_T^j||_2^2

    Args:
        prediction: the student's maps Q_S^j, each float `[N, H, W, 1]` (a channel mean).
        target: the teacher's maps Q_T^j, the same number and shapes.
        form: "norm" is the paper's, "squared" the released code's.

    Returns:
        float32 `[N]`, >= 0; 0 means equal up to a positive factor. The gradient of equal maps
        is 0.

    Raises:
        TypeError: a map is not floating.
        ValueError: unequal numbers or shapes of maps, no maps, or an unknown form.

    Reference:
        Eq. 12.
    """
    if form not in ("norm", "squared"):
        raise ValueError(f"form must be 'norm' or 'squared', got {form!r}")
    if len(prediction) != len(target) or not len(prediction):
        raise ValueError(
            "student and teacher must have the same number of attention maps, at least one: "
            f"got {len(prediction)} and {len(target)}"
        )
    squares = [_squared_distance(s, t) for s, t in zip(prediction, target, strict=True)]
    if form == "squared":
        return sum(squares[1:], squares[0]) / 2
    norms = [_safe_sqrt(square) for square in squares]
    return sum(norms[1:], norms[0])


def _squared_distance(student: jax.Array, teacher: jax.Array) -> jax.Array:
    student, teacher = as_float_pair(student, teacher)
    return jnp.sum(jnp.square(_normalize(student) - _normalize(teacher)), axis=(1, 2, 3))


def _normalize(maps: jax.Array) -> jax.Array:
    energy = jnp.sum(jnp.square(maps), axis=(1, 2, 3), keepdims=True)
    return maps * jax.lax.rsqrt(jnp.maximum(energy, ENERGY_FLOOR))


def _safe_sqrt(square: jax.Array) -> jax.Array:
    # `where` differentiates both branches: the inner one avoids the infinite slope of sqrt at 0.
    positive = square > ROUNDING_FLOOR
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)
