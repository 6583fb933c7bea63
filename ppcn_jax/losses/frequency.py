"""Losses of the frequencies of images."""

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.losses.arguments import as_float_pair, check_known_sides, number
from ppcn_jax.ops.compiled import compiled
from ppcn_jax.ops.fourier import spectrum


@compiled
def focal_frequency(prediction: jax.Array, target: jax.Array, *, alpha: float = 1.0) -> jax.Array:
    """Focal frequency loss: squared differences of spectra, weighted towards the largest.

    FFL = mean_{u,v,c} w |F_y - F_t|^2  with  w = (|F_y - F_t| / max_{u,v} |F_y - F_t|)^alpha

    F is the orthonormal discrete Fourier transform of each channel. Weights have no gradient.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        alpha: 0 or more: how much small differences are neglected; 0 gives the mean squared error.

    Returns:
        float32 `[N]`, >= 0 and at most the mean squared error; 0 means identical.

    Raises:
        TypeError: an input is not floating, or `alpha` is not a number.
        ValueError: a rank other than 4, unequal shapes, a negative `alpha`, or sides that are
            symbolic in an export.

    Reference:
        Jiang et al., Focal Frequency Loss for Image Reconstruction and Synthesis, ICCV 2021,
        Eqs. 8 and 9, with the orthonormal transform of the published code.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.focal_frequency(y, t)
        Array([0.0625, 0.0625], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    check_known_sides("the focal frequency loss", prediction)
    exponent = number("alpha", alpha, prediction.dtype, zero=True)
    height, width = prediction.shape[1:3]
    # The transform is linear, and its values of the right half are conjugates of those of the left.
    columns = width // 2 + 1
    real, imaginary = spectrum(prediction - target, columns)
    energy = (jnp.square(real) + jnp.square(imaginary)) / (height * width)
    fixed = jax.lax.stop_gradient(energy)
    largest = jnp.max(fixed, axis=(1, 2), keepdims=True)
    weights = (fixed / jnp.where(largest > 0, largest, 1)) ** (exponent / 2)
    counts = np.array([1 if 2 * column % width == 0 else 2 for column in range(columns)])
    counted = counts.astype(energy.dtype)[None, None, :, None] * energy
    total = jnp.sum(weights * counted, axis=(1, 2))
    return jnp.mean(total / (height * width), axis=1)
