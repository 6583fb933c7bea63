"""Pixel-wise losses."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair


def l1(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """L1 norm of the difference: ||y - t||_1, a sum over pixels and channels.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.

    Returns:
        float32 `[N]`, >= 0; 0 means identical. Grows with the number of pixels.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        Eq. 3 as printed; a term of the paper's challenge submission (section 4.3).
    """
    prediction, target = as_float_pair(prediction, target)
    return jnp.sum(_absolute(prediction - target), axis=(1, 2, 3))


def mae(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean absolute error: the mean of |y - t| over pixels and channels.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.

    Returns:
        float32 `[N]` in units of pixel values, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        The first term of Eq. 6 as the released code trains it: the norm of Eq. 3 divided by the
        number of values.
    """
    prediction, target = as_float_pair(prediction, target)
    return jnp.mean(_absolute(prediction - target), axis=(1, 2, 3))


def log_mse(
    prediction: jax.Array, target: jax.Array, *, floor: float = 1e-4, clipped: bool = False
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

    Returns:
        float32 `[N]`, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        Not in the paper; it optimizes the PSNR that Table 3 reports.
    """
    prediction, target = as_float_pair(prediction, target)
    if clipped:
        prediction -= jax.lax.stop_gradient(prediction - jnp.clip(prediction, 0, 1))
    mse = jnp.mean(jnp.square(prediction - target), axis=(1, 2, 3))
    return jnp.log1p(mse / floor)


def _absolute(x: jax.Array) -> jax.Array:
    # The derivative of jnp.abs at 0 is 1, which would move pixels that are already correct.
    return x * jax.lax.stop_gradient(jnp.sign(x))
