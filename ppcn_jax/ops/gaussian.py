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
    planes = filter_planes(jnp.moveaxis(images, 3, 1), kernel, same=same)
    return jnp.moveaxis(planes, 1, 3)


def filter_planes(planes: jax.Array, taps: np.ndarray | jax.Array, *, same: bool) -> jax.Array:
    """Correlate rows and columns of planes with the taps of a separable kernel.

    Args:
        planes: float `[..., H, W]`.
        taps: `[k]`.
        same: True pads with zeros and keeps the size; False keeps the fully covered positions.

    Returns:
        `[..., H, W]`, or `[..., H-k+1, W-k+1]` when not `same`.
    """
    taps = jnp.asarray(taps, planes.dtype)
    height, width = planes.shape[-2:]
    if max(height, width) > LARGEST_BAND:
        return _shifted(_shifted(planes, taps, planes.ndim - 2, same), taps, planes.ndim - 1, same)
    # Each product turns the planes, so that nothing is turned back in between.
    highest = lax.Precision.HIGHEST
    rows = jnp.einsum("...hw,hp->...wp", planes, _band(height, taps, same), precision=highest)
    return jnp.einsum("...wp,wq->...pq", rows, _band(width, taps, same), precision=highest)


def _borders(taps: int, same: bool) -> tuple[int, int]:
    return ((taps - 1) // 2, taps // 2) if same else (0, 0)


def _band(side: int, taps: jax.Array, same: bool) -> jax.Array:
    # out[o] = sum_i in[i] taps[i - o + before] as a matrix: convolutions with one channel per
    # group are an order of magnitude slower on a CPU.
    before, after = _borders(len(taps), same)
    outputs = side + before + after - len(taps) + 1
    index = np.arange(side)[:, None] - np.arange(outputs)[None, :] + before
    inside = (index >= 0) & (index < len(taps))
    return jnp.where(inside, taps[np.clip(index, 0, len(taps) - 1)], 0)


def _shifted(planes: jax.Array, taps: jax.Array, axis: int, same: bool) -> jax.Array:
    # A sum of shifted planes: grows with the side, where the band matrix grows with its square.
    padding = [(0, 0)] * planes.ndim
    padding[axis] = _borders(len(taps), same)
    padded = jnp.pad(planes, padding)
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
