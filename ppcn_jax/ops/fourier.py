"""The discrete Fourier transform of maps, as matrix products.

Unlike an FFT, a matrix product stays where a batch that is sharded over devices lies.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def spectrum(maps: jax.Array, columns: int | None = None) -> tuple[jax.Array, jax.Array]:
    """Real and imaginary part of the transform of maps `[N, H, W, C]` over height and width.

    Not normalized, as `numpy.fft.fft2`; if `columns` is given, only so many of the first
    frequencies along the width. The imaginary part is exactly 0 at the frequencies where that of
    real maps is 0, so that the sign of rounding errors does not decide on a phase of pi or of -pi.
    H and W must be known.
    """
    height, width = maps.shape[1:3]
    cosine, sine = (waves[:, :columns] for waves in _waves(width, maps.dtype))
    real, imaginary = _along_width(maps, cosine), -_along_width(maps, sine)
    cosine, sine = _waves(height, maps.dtype)
    real, imaginary = (
        _along_height(real, cosine) + _along_height(imaginary, sine),
        _along_height(imaginary, cosine) - _along_height(real, sine),
    )
    rows, halves = (2 * np.arange(side) % side == 0 for side in (height, width))
    is_real = (rows[:, None] & halves[None, :columns])[None, :, :, None]
    return real, jnp.where(is_real, 0, imaginary)


def _waves(side: int, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
    # The product of frequency and position modulo the side keeps the angles exact.
    angles = 2 * np.pi / side * (np.outer(np.arange(side), np.arange(side)) % side)
    return jnp.asarray(np.cos(angles), dtype), jnp.asarray(np.sin(angles), dtype)


def _along_width(maps: jax.Array, waves: jax.Array) -> jax.Array:
    return jnp.einsum("nhwc,wv->nhvc", maps, waves, precision=lax.Precision.HIGHEST)


def _along_height(maps: jax.Array, waves: jax.Array) -> jax.Array:
    return jnp.einsum("nhwc,hu->nuwc", maps, waves, precision=lax.Precision.HIGHEST)
