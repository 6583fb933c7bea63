"""Checks that every loss makes on its arguments, at trace time."""

import jax
import jax.numpy as jnp


def as_float(name: str, array, rank: int) -> jax.Array:
    """Check one tensor and lift it to float32 or better.

    Args:
        name: what the caller knows the tensor as; starts the error message.
        array: the tensor.
        rank: the rank it must have.

    Returns:
        The tensor in float32, or in float64 if it was that.

    Raises:
        TypeError: not a floating type.
        ValueError: another rank.
    """
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating, got {array.dtype} of shape {array.shape}")
    if array.ndim != rank:
        raise ValueError(f"{name} must have rank {rank}, got shape {array.shape}")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def as_float_pair(prediction, target, rank: int = 4) -> tuple[jax.Array, jax.Array]:
    """Check and lift two tensors that must have equal shapes.

    Args:
        prediction: a tensor of rank `rank`.
        target: another of the same shape.
        rank: the rank both must have.

    Returns:
        Both in float32 or better.

    Raises:
        TypeError: not a floating type.
        ValueError: another rank, or unequal shapes (both are named).
    """
    prediction = as_float("prediction", prediction, rank)
    target = as_float("target", target, rank)
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target differ in shape: {prediction.shape} and {target.shape}"
        )
    return prediction, target
