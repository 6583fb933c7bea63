"""Gaussian windows and per-channel image filters, shared by losses and metrics."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def gaussian_taps(size: int, sigma: float) -> np.ndarray:
    """One-dimensional Gaussian window that sums to 1.

    Args:
        size: number of taps.
        sigma: standard deviation, in pixels.

    Returns:
        float64 `[size]`.
    """
    offsets = np.arange(size) - (size - 1) / 2
    taps = np.exp(-(offsets**2) / (2 * sigma**2))
    return taps / taps.sum()


def filter_channels(images: jax.Array, kernel: np.ndarray | jax.Array, *, same: bool) -> jax.Array:
    """Correlate every channel with one kernel.

    Args:
        images: float `[N, H, W, C]`.
        kernel: `[k]`, the taps of a separable kernel (applied to rows and columns), or the whole
            kernel `[kh, kw]`.
        same: True pads with zeros and keeps the size; False keeps the fully covered positions.

    Returns:
        `[N, H, W, C]`, or `[N, H-k+1, W-k+1, C]` when not `same`.
    """
    kernel = jnp.asarray(kernel, images.dtype)
    if kernel.ndim == 1:
        rows = _depthwise(images, kernel[:, None], same)
        return _depthwise(rows, kernel[None, :], same)
    return _depthwise(images, kernel, same)


def _depthwise(images: jax.Array, kernel: jax.Array, same: bool) -> jax.Array:
    channels = images.shape[-1]
    height, width = kernel.shape
    padding = [((n - 1) // 2, n // 2) if same else (0, 0) for n in (height, width)]
    return lax.conv_general_dilated(
        images,
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, channels)),
        window_strides=(1, 1),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision=lax.Precision.HIGHEST,
    )
