"""Gaussian windows and per-channel image filters, shared by losses and metrics."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Sides up to here are filtered by a matrix product, larger ones by shifted sums.
LARGEST_BAND = 256


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
    if np.ndim(kernel) == 2:
        return _depthwise(images, jnp.asarray(kernel, images.dtype), same)
    for axis in (1, 2):
        taps = jnp.asarray(kernel, images.dtype)
        one_axis = _banded if images.shape[axis] <= LARGEST_BAND else _shifted
        images = one_axis(images, taps, axis, same)
    return images


def _borders(taps: int, same: bool) -> tuple[int, int]:
    return ((taps - 1) // 2, taps // 2) if same else (0, 0)


def _banded(images: jax.Array, taps: jax.Array, axis: int, same: bool) -> jax.Array:
    # out[o] = sum_i images[i] taps[i - o + before] as a matrix product: convolutions with one
    # channel per group are an order of magnitude slower on a CPU.
    side, (before, after) = images.shape[axis], _borders(len(taps), same)
    outputs = side + before + after - len(taps) + 1
    index = np.arange(side)[:, None] - np.arange(outputs)[None, :] + before
    inside = (index >= 0) & (index < len(taps))
    band = jnp.where(inside, taps[np.clip(index, 0, len(taps) - 1)], 0)
    subscripts = {1: "nhwc,ho->nowc", 2: "nhwc,wo->nhoc"}[axis]
    return jnp.einsum(subscripts, images, band, precision=lax.Precision.HIGHEST)


def _shifted(images: jax.Array, taps: jax.Array, axis: int, same: bool) -> jax.Array:
    # A sum of shifted images: grows with the side, where the band matrix grows with its square.
    padding = [(0, 0)] * images.ndim
    padding[axis] = _borders(len(taps), same)
    padded = jnp.pad(images, padding)
    outputs = padded.shape[axis] - len(taps) + 1
    windows = (lax.slice_in_dim(padded, k, k + outputs, axis=axis) for k in range(len(taps)))
    return sum((tap * window for tap, window in zip(taps, windows, strict=True)), jnp.zeros(()))


def _depthwise(images: jax.Array, kernel: jax.Array, same: bool) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, images.shape[-1])),
        window_strides=(1, 1),
        padding=[_borders(side, same) for side in kernel.shape],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
        precision=lax.Precision.HIGHEST,
    )
