"""Distillation of a teacher's features into a student: attention maps and FSP matrices."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.losses.arguments import as_float, as_float_pair, choice
from ppcn_jax.ops.compiled import compiled

# Keeps the normalization of an all-zero map finite; far below the energy of real maps.
ENERGY_FLOOR = 1e-12
# Squared distance below which float32 cannot distinguish two unit vectors, whose products with
# their norms a compiled program may round differently. It counts as 0, without a gradient: that of
# the norm has the same size at any distance and would amplify rounding errors.
ROUNDING_FLOOR = 1e-13


@compiled
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
        ValueError: unequal numbers or shapes of maps, no maps, maps of several channels, or an
            unknown form.

    Reference:
        Eq. 12.

    Example:
        >>> q = jnp.ones((2, 6, 6, 1)).at[:, :3].set(0)  # a map of one layer
        >>> losses.attention([q], [1 - q])
        Array([1.4142138, 1.4142138], dtype=float32)
    """
    choice("form", form, ("norm", "squared"))
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


@compiled
def fsp(
    prediction: Sequence[tuple[jax.Array, jax.Array]],
    target: Sequence[tuple[jax.Array, jax.Array]],
) -> jax.Array:
    """Distance of FSP matrices: how features flow from one layer to a later one.

    FSP = sum_j ||G_S^j - G_T^j||_F^2  with  G_ab = mean_p F_pa F'_pb, over positions p

    Args:
        prediction: pairs (F, F') of the student's features, those of a layer, float `[N, H, W, A]`,
            and of a later one, `[N, H, W, B]`.
        target: pairs of the teacher's, the same number, with as many channels. Height and width may
            be others.

    Returns:
        float32 `[N]`, >= 0; 0 means equal matrices.

    Raises:
        TypeError: features are not floating.
        ValueError: no pairs, unequal numbers of them, features of a pair that differ in batch,
            height or width, or a student and teacher that differ in channels.

    Reference:
        Yim et al., A Gift from Knowledge Distillation, CVPR 2017, Eqs. 1 and 2, with the weights
        lambda = 1. They pool the larger map of a pair first.

    Example:
        >>> f = jnp.ones((2, 6, 6, 4))
        >>> losses.fsp([(f, f)], [(f, 2 * f)])
        Array([16., 16.], dtype=float32)
    """
    if len(prediction) != len(target) or not len(prediction):
        raise ValueError(
            "student and teacher must have the same number of pairs of layers, at least one: "
            f"got {len(prediction)} and {len(target)}"
        )
    squares = []
    for student, teacher in zip(prediction, target, strict=True):
        if len(student) != 2 or len(teacher) != 2:
            raise ValueError(
                "prediction and target must be lists of pairs (F, F') of features, got "
                f"{len(student)} and {len(teacher)} in one of them"
            )
        ours, theirs = _flow("prediction", *student), _flow("target", *teacher)
        if ours.shape != theirs.shape:
            raise ValueError(
                "prediction and target differ in batch or channels: their matrices have the "
                f"shapes {ours.shape} and {theirs.shape}"
            )
        dtype = jnp.promote_types(ours.dtype, theirs.dtype)
        difference = ours.astype(dtype) - theirs.astype(dtype)
        squares.append(jnp.sum(jnp.square(difference), axis=(1, 2)))
    return sum(squares[1:], squares[0])


def _flow(name: str, first: jax.Array, second: jax.Array) -> jax.Array:
    """The FSP matrix `[N, A, B]` of features `[N, H, W, A]` and `[N, H, W, B]`."""
    first, second = as_float(name, first, 4), as_float(name, second, 4)
    if first.shape[:3] != second.shape[:3]:
        raise ValueError(
            f"both layers of a pair of the {name} must have the same batch, height and width, got "
            f"{first.shape} and {second.shape}"
        )
    dtype = jnp.promote_types(first.dtype, second.dtype)
    first, second = first.astype(dtype), second.astype(dtype)
    products = jnp.einsum("nhwa,nhwb->nab", first, second, precision=lax.Precision.HIGHEST)
    return products / jnp.asarray(first.shape[1] * first.shape[2], dtype)


def _squared_distance(student: jax.Array, teacher: jax.Array) -> jax.Array:
    student, teacher = as_float_pair(student, teacher)
    if student.shape[3] != 1:
        raise ValueError(
            f"attention maps must have one channel, the mean over channels, got {student.shape}"
        )
    difference = _normalize(student) - _normalize(teacher)
    square = jnp.sum(jnp.square(difference), axis=(1, 2, 3))
    return jnp.where(square > ROUNDING_FLOOR, square, 0)


def _normalize(maps: jax.Array) -> jax.Array:
    energy = jnp.sum(jnp.square(maps), axis=(1, 2, 3), keepdims=True)
    return maps * jax.lax.rsqrt(jnp.maximum(energy, ENERGY_FLOOR))


def _safe_sqrt(square: jax.Array) -> jax.Array:
    # `where` differentiates both branches: the inner one avoids the infinite slope of sqrt at 0.
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)
