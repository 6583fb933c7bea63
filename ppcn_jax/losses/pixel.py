"""Pixel-wise differences."""

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
        Eq. 3, literally; a term of the paper's challenge submission (section 4.3).
    """
    prediction, target = as_float_pair(prediction, target)
    return jnp.sum(_absolute(prediction - target), axis=(1, 2, 3))


def mae(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean absolute error: the mean of |y - t| over pixels and channels.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.

    Returns:
        float32 `[N]` in the unit of the images, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        The super-resolution loss of Eq. 6 as trained: Eq. 3's norm over the number of values.
    """
    prediction, target = as_float_pair(prediction, target)
    return jnp.mean(_absolute(prediction - target), axis=(1, 2, 3))


def log_mse(
    prediction: jax.Array, target: jax.Array, *, floor: float = 1e-4, clipped: bool = False
) -> jax.Array:
    """Mean squared error on a logarithmic scale: log(1 + mean (y - t)^2 / floor).

    Far above the floor it is a constant less PSNR in dB times log(10) / 10, so that the mean over
    a batch is that of the images' PSNRs; below, it is a squared error.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        floor: squared error from which on the scale is logarithmic; 1e-4 is 40 dB of images in
            [0, 1].
        clipped: what a prediction in [0, 1] has beyond counts as the limit, as it is shown and
            scored: where the target is white, all beyond white is right. Where it is not, the
            gradient leads back.

    Returns:
        float32 `[N]`, >= 0; 0 means identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        Not in the paper: it trains for what Table 3 measures.
    """
    prediction, target = as_float_pair(prediction, target)
    if clipped:
        prediction -= jax.lax.stop_gradient(prediction - jnp.clip(prediction, 0, 1))
    mse = jnp.mean(jnp.square(prediction - target), axis=(1, 2, 3))
    return jnp.log1p(mse / floor)


def _absolute(x: jax.Array) -> jax.Array:
    # The derivative of jnp.abs at 0 is 1: it would push pixels away from where they are right.
    return x * jax.lax.stop_gradient(jnp.sign(x))
