"""Pixel-wise losses."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import (
    as_float_pair,
    as_mask,
    flag,
    mean_per_image,
    number,
    selected,
)
from ppcn_jax.ops.compiled import compiled


@compiled
def l1(prediction: jax.Array, target: jax.Array, *, where: jax.Array | None = None) -> jax.Array:
    """L1 norm of the difference: ||y - t||_1, a sum over pixels and channels.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        where: bool, broadcastable to the images: the values that count, None for all. An image
            without any has the loss 0.

    Returns:
        float32 `[N]`, >= 0; 0 means identical. Grows with the number of pixels.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, or `where` does not broadcast.

    Reference:
        Eq. 3 as printed; a term of the paper's challenge submission (section 4.3).

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.l1(y, t)
        Array([48., 48.], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    difference = selected(prediction - target, as_mask(where, prediction))
    return jnp.sum(absolute(difference), axis=(1, 2, 3))


@compiled
def mae(prediction: jax.Array, target: jax.Array, *, where: jax.Array | None = None) -> jax.Array:
    """Mean absolute error: the mean of |y - t| over pixels and channels.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        where: bool, broadcastable to the images: the values that count, None for all. An image
            without any has the loss 0.

    Returns:
        float32 `[N]` in units of pixel values, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, or `where` does not broadcast.

    Reference:
        The first term of Eq. 6 as the released code trains it: the norm of Eq. 3 divided by the
        number of values.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.mae(y, t)
        Array([0.25, 0.25], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    mask = as_mask(where, prediction)
    return mean_per_image(absolute(selected(prediction - target, mask)), mask)


@compiled
def log_mse(
    prediction: jax.Array,
    target: jax.Array,
    *,
    floor: float = 1e-4,
    clipped: bool = False,
    where: jax.Array | None = None,
) -> jax.Array:
    """Mean squared error on a logarithmic scale: log(1 + mean (y - t)^2 / floor).

    For errors far above the floor this is a constant minus PSNR in dB times log(10) / 10, so that
    its batch mean follows the mean PSNR of the images. Far below the floor it is proportional to
    the squared error.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        floor: squared error above which the scale is logarithmic; 1e-4 is 40 dB for images in
            [0, 1].
        clipped: clip the prediction to [0, 1] before comparing, as it is displayed and scored. The
            gradient passes through the clipping, so that values outside of [0, 1] are still
            corrected unless the target is at that limit.
        where: bool, broadcastable to the images: the values that count, None for all. An image
            without any has the loss 0.

    Returns:
        float32 `[N]`, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating, `floor` is not a number, or `clipped` or `where`
            not bool.
        ValueError: a rank other than 4, unequal shapes, a floor of 0 or less, or `where` does not
            broadcast.

    Reference:
        Not in the paper; it optimizes the PSNR that Table 3 reports.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.log_mse(y, t)
        Array([6.43935, 6.43935], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    limit = number("floor", floor, prediction.dtype)
    if flag("clipped", clipped):
        prediction -= jax.lax.stop_gradient(prediction - jnp.clip(prediction, 0, 1))
    mask = as_mask(where, prediction)
    mse = mean_per_image(jnp.square(selected(prediction - target, mask)), mask)
    return jnp.log1p(mse / limit)


@compiled
def charbonnier(
    prediction: jax.Array,
    target: jax.Array,
    *,
    epsilon: float = 1e-3,
    where: jax.Array | None = None,
) -> jax.Array:
    """Charbonnier loss, a smooth mean absolute error: mean (sqrt((y - t)^2 + eps^2) - eps).

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        epsilon: eps, the error in units of pixel values below which the loss is quadratic.
        where: bool, broadcastable to the images: the values that count, None for all. An image
            without any has the loss 0.

    Returns:
        float32 `[N]` in units of pixel values, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating, `epsilon` is not a number, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, an epsilon of 0 or less, or `where` does
            not broadcast.

    Reference:
        Charbonnier et al., Two Deterministic Half-quadratic Regularization Algorithms, ICIP 1994;
        Lai et al., LapSRN, CVPR 2017, Eq. 3, whose value is larger by eps.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.charbonnier(y, t)
        Array([0.249002, 0.249002], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    limit = jnp.asarray(number("epsilon", epsilon, prediction.dtype), prediction.dtype)
    mask = as_mask(where, prediction)
    difference = selected(prediction - target, mask)
    square = jnp.square(difference)
    # The same as sqrt(d^2 + eps^2) - eps, which would cancel.
    return mean_per_image(square / (jnp.sqrt(square + jnp.square(limit)) + limit), mask)


def absolute(x: jax.Array) -> jax.Array:
    """Absolute values, with the gradient 0 at 0."""
    # The derivative of jnp.abs at 0 is 1, which would move pixels that are already correct.
    return x * jax.lax.stop_gradient(jnp.sign(x))
