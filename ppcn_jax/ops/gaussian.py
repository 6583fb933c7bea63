"""Gaussian windows and per-channel image filters, shared by losses and metrics."""

from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Planes up to this side are filtered by a matrix product, larger ones by shifted sums.
LARGEST_BAND = 256


@overload
def gaussian_window(size: int, sigma: float) -> np.ndarray: ...
@overload
def gaussian_window(size: int, sigma: jax.Array) -> jax.Array: ...
def gaussian_window(size: int, sigma: float | jax.Array) -> np.ndarray | jax.Array:
    """One-dimensional Gaussian window with sum 1, `[size]`; `sigma` is in pixels.

    In float64 for a Python number, in its own type if `sigma` is a JAX array.
    """
    offsets = np.arange(size) - (size - 1) / 2
    if isinstance(sigma, jax.Array):
        window = jnp.exp(-jnp.asarray(offsets**2, sigma.dtype) / (2 * sigma**2))
        return window / window.sum()
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


def filter_channels(images: jax.Array, kernel: np.ndarray | jax.Array, *, same: bool) -> jax.Array:
    """Correlate every channel of images `[N, H, W, C]` with one kernel.

    Args:
        images: float `[N, H, W, C]`.
        kernel: `[k]` for a separable kernel (applied to rows and columns), or `[kh, kw]`.
        same: True pads with zeros and keeps the size; False keeps only fully covered positions.
    """
    if np.ndim(kernel) == 2:
        return _depthwise(images, jnp.asarray(kernel, images.dtype), same)
    planes = filter_planes(jnp.moveaxis(images, 3, 1), kernel, same=same)
    return jnp.moveaxis(planes, 1, 3)


def filter_planes(planes: jax.Array, kernel: np.ndarray | jax.Array, *, same: bool) -> jax.Array:
    """Correlate rows and columns of planes `[..., H, W]` with a separable kernel `[k]`.

    `same` is that of `filter_channels`.
    """
    kernel = jnp.asarray(kernel, planes.dtype)
    height, width = planes.shape[-2:]
    if not all(isinstance(side, int) and side <= LARGEST_BAND for side in (height, width)):
        for axis in (planes.ndim - 2, planes.ndim - 1):
            planes = _shifted(planes, kernel, axis, same)
        return planes
    # Each product transposes the planes, so the second one restores their order.
    highest = lax.Precision.HIGHEST
    rows = jnp.einsum("...hw,hp->...wp", planes, _band(height, kernel, same), precision=highest)
    return jnp.einsum("...wp,wq->...pq", rows, _band(width, kernel, same), precision=highest)


def _padding(size: int, same: bool) -> tuple[int, int]:
    return ((size - 1) // 2, size // 2) if same else (0, 0)


def _band(side: int, kernel: jax.Array, same: bool) -> jax.Array:
    # out[o] = sum_i in[i] kernel[i - o + before] as a matrix: convolutions with one channel per
    # group are an order of magnitude slower on a CPU.
    before, after = _padding(len(kernel), same)
    outputs = side + before + after - len(kernel) + 1
    index = np.arange(side)[:, None] - np.arange(outputs)[None, :] + before
    inside = (index >= 0) & (index < len(kernel))
    return jnp.where(inside, kernel[np.clip(index, 0, len(kernel) - 1)], 0)


def _shifted(planes: jax.Array, kernel: jax.Array, axis: int, same: bool) -> jax.Array:
    # The cost of a sum of shifted planes is linear in the side; that of `_band` is quadratic.
    padding = [(0, 0)] * planes.ndim
    padding[axis] = _padding(len(kernel), same)
    padded = jnp.pad(planes, padding)
    outputs = padded.shape[axis] - len(kernel) + 1
    windows = (lax.slice_in_dim(padded, k, k + outputs, axis=axis) for k in range(len(kernel)))
    weighted = (w * window for w, window in zip(kernel, windows, strict=True))
    return sum(weighted, jnp.zeros((), planes.dtype))


def _depthwise(images: jax.Array, kernel: jax.Array, same: bool) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, images.shape[-1])),
        window_strides=(1, 1),
        padding=[_padding(side, same) for side in kernel.shape],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
        precision=lax.Precision.HIGHEST,
    )
