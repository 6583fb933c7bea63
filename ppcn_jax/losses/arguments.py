"""Argument checks shared by losses and metrics; they run at trace time.

A numeric option is a Python or NumPy number, which is checked, or a scalar JAX array such as a traced
schedule, whose value cannot be checked.
"""

import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

Number = float | jax.Array

# Numbers that float32 rounds to 0 or to infinity are out of range.
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def as_float(name: str, array: ArrayLike, rank: int) -> jax.Array:
    """Check type and rank of a tensor and convert it to float32 (float64 stays float64).

    Raises:
        TypeError: not a floating type; the message starts with `name`.
        ValueError: another rank, or images without any value. A batch may be empty.
    """
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating, got {array.dtype} of shape {array.shape}")
    if array.ndim != rank:
        raise ValueError(f"{name} must have rank {rank}, got shape {array.shape}")
    if any(isinstance(size, int) and size == 0 for size in array.shape[1:]):
        raise ValueError(f"{name} must have at least one value per image, got shape {array.shape}")
    return array if array.dtype == jnp.float64 else array.astype(jnp.float32)


def as_float_pair(prediction: ArrayLike, target: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Check and convert two tensors of rank 4 that must have equal shapes.

    Raises:
        TypeError: not a floating type.
        ValueError: another rank, no values, or unequal shapes (the message names both).
    """
    prediction = as_float("prediction", prediction, 4)
    target = as_float("target", target, 4)
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target differ in shape: {prediction.shape} and {target.shape}"
        )
    dtype = jnp.promote_types(prediction.dtype, target.dtype)
    return prediction.astype(dtype), target.astype(dtype)


def as_mask(where: Any, images: jax.Array) -> jax.Array | None:
    """Check a mask of images `[N, H, W, C]` and broadcast it to their shape; None stays None.

    Raises:
        TypeError: not a bool array.
        ValueError: a shape that does not broadcast. Both messages start with `where`.
    """
    if where is None:
        return None
    if not jnp.issubdtype(jnp.result_type(where), jnp.bool_):
        raise TypeError(f"where must be bool, got {jnp.result_type(where)}")
    shape = jnp.shape(where)
    fits = len(shape) == 4 and all(a in (1, b) for a, b in zip(shape, images.shape, strict=True))
    if not fits:
        hint = "; add the axis of channels: where[..., None]" if len(shape) == 3 else ""
        raise ValueError(f"where must broadcast to {images.shape}, got shape {shape}{hint}")
    return jnp.broadcast_to(where, images.shape)


def selected(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Values `[N, H, W, C]`, with 0 where the mask is False: no gradient, and no NaN, passes."""
    return values if mask is None else jnp.where(mask, values, 0)


def mean_per_image(values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Mean of the selected values of each image `[N, H, W, C]`, 0 if there are none: `[N]`."""
    if mask is None:
        return jnp.mean(values, axis=(1, 2, 3))
    count = jnp.sum(mask, axis=(1, 2, 3), dtype=values.dtype)
    return jnp.sum(selected(values, mask), axis=(1, 2, 3)) / jnp.maximum(count, 1)


def check_sides(name: str, images: jax.Array, least: int) -> None:
    """Check that the sides of images `[N, H, W, C]` have at least `least` pixels.

    Raises:
        ValueError: a side is smaller, or symbolic in an export and perhaps smaller; the message
            starts with `name`, the loss.
    """
    for side in images.shape[1:3]:
        try:
            small = side < least
        except jax.errors.InconclusiveDimensionOperation:
            raise ValueError(
                f"{name} needs sides of at least {least} px: pass constraints=['{side} >= {least}'] "
                "to jax.export.symbolic_shape"
            ) from None
        if small:
            raise ValueError(
                f"{name} needs sides of at least {least} px, got {images.shape} as [N, H, W, C]"
            )


def check_known_sides(name: str, images: jax.Array) -> None:
    """Check that height and width of images `[N, H, W, C]` are not symbolic in an export.

    Raises:
        ValueError: a side is symbolic; the message starts with `name`, the loss.
    """
    if not all(isinstance(side, int) for side in images.shape[1:3]):
        raise ValueError(f"{name} needs known sides, got {images.shape}: export it for one size")


def number(
    name: str, value: Any, dtype: Any, *, zero: bool = False, largest: float = _LARGEST
) -> Number:
    """Check a numeric option: finite in float32, above 0 (or 0 if `zero`), at most `largest`.

    Returns a Python float, or a scalar array of `dtype` unchecked if the option is a JAX array.

    Raises:
        TypeError: not a number, or an array that is not a scalar.
        ValueError: out of range. Both messages start with `name`.
    """
    if isinstance(value, jax.Array):
        if value.ndim or not jnp.issubdtype(value.dtype, jnp.number):
            raise TypeError(f"{name} must be a number, got {value.dtype} of shape {value.shape}")
        return value.astype(dtype)
    known = isinstance(value, int | float | np.integer | np.floating)
    if not known or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not (_SMALLEST <= value <= largest or zero and value == 0):  # false for NaN
        span = f"from 0 to {largest:g}" if zero else "above 0 and finite"
        raise ValueError(f"{name} must be {span}, got {value!r}")
    return float(value)


def integer(name: str, value: Any, *, least: int = 1, most: int = 2**31 - 1) -> int:
    """Check an option that determines shapes: a Python or NumPy integer from `least` to `most`.

    Raises:
        TypeError: not an integer, or traced.
        ValueError: out of range. Both messages start with `name`.
    """
    if isinstance(value, bool | jax.Array):
        raise TypeError(f"{name} must be a Python integer, got {value!r}")
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a Python integer, got {value!r}") from None
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {value}")
    return value


def flag(name: str, value: Any) -> bool:
    """Check a boolean option.

    Raises:
        TypeError: not True or False; the message starts with `name`.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Check an option that names one of several forms.

    Raises:
        ValueError: another value; the message lists the choices.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")
