"""Argument checks shared by the losses; they run at trace time."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def as_float(name: str, array: ArrayLike, rank: int) -> jax.Array:
    """Check type and rank of a tensor and convert it to float32 (float64 stays float64).

    Raises:
        TypeError: not a floating type; the message starts with `name`.
        ValueError: another rank.
    """
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating, got {array.dtype} of shape {array.shape}")
    if array.ndim != rank:
        raise ValueError(f"{name} must have rank {rank}, got shape {array.shape}")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def as_float_pair(prediction: ArrayLike, target: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Check and convert two tensors of rank 4 that must have equal shapes.

    Raises:
        TypeError: not a floating type.
        ValueError: another rank, or unequal shapes (the message names both).
    """
    prediction = as_float("prediction", prediction, 4)
    target = as_float("target", target, 4)
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target differ in shape: {prediction.shape} and {target.shape}"
        )
    return prediction, target
