"""Gaussian windows and per-channel image filters, shared by losses and metrics."""

import functools
from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Planes up to this side are filtered by one matrix product for each axis, larger ones in blocks.
LARGEST_BAND = 256
# On a TPU, blocks cost more in copies than a matrix of this side in products: 22.2 GB of memory traffic
# instead of 7.7 for SSIM and its gradient, 64 images of 384 px (docs/laboratory.md).
LARGEST_BAND_OF_TPU = 1024
# Outputs of a block, unless the kernel is longer. Larger blocks multiply by more zeros.
BLOCK = 32


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
    if not (isinstance(height, int) and isinstance(width, int)):
        for axis in (planes.ndim - 2, planes.ndim - 1):
            planes = _shifted(planes, kernel, axis, same)
        return planes
    in_one, in_blocks = (functools.partial(form, same=same) for form in (_in_one, _in_blocks))
    if max(height, width) <= LARGEST_BAND:
        return in_one(planes, kernel)
    if max(height, width) > LARGEST_BAND_OF_TPU:
        return in_blocks(planes, kernel)
    return lax.platform_dependent(planes, kernel, tpu=in_one, default=in_blocks)


def _in_one(planes: jax.Array, kernel: jax.Array, *, same: bool) -> jax.Array:
    """Filter by one matrix product for each axis."""
    height, width = planes.shape[-2:]
    highest = lax.Precision.HIGHEST
    # Each product transposes the planes, so the second one restores their order.
    band = _band(height, kernel, same)
    rows = jnp.einsum("...hw,hp->...wp", planes, band, precision=highest)
    band = _band(width, kernel, same)
    return jnp.einsum("...wp,wq->...pq", rows, band, precision=highest)


def _in_blocks(planes: jax.Array, kernel: jax.Array, *, same: bool) -> jax.Array:
    """Filter by one matrix product for each axis and block of outputs."""
    height, width = planes.shape[-2:]
    highest = lax.Precision.HIGHEST
    length = max(BLOCK, len(kernel) - 1)
    band = _band(length + len(kernel) - 1, kernel, same=False)
    blocks = _blocks(planes, len(kernel), planes.ndim - 2, length, same)
    rows = jnp.einsum("...bhw,hp->...bpw", blocks, band, precision=highest)
    rows = rows.reshape(*planes.shape[:-2], -1, width)[
        ..., : _outputs(height, len(kernel), same), :
    ]
    blocks = _blocks(rows, len(kernel), planes.ndim - 1, length, same)
    columns = jnp.einsum("...bw,wq->...bq", blocks, band, precision=highest)
    return columns.reshape(*rows.shape[:-1], -1)[..., : _outputs(width, len(kernel), same)]


def _padding(size: int, same: bool) -> tuple[int, int]:
    return ((size - 1) // 2, size // 2) if same else (0, 0)


def _outputs(side: int, size: int, same: bool) -> int:
    return side + sum(_padding(size, same)) - size + 1


def _band(side: int, kernel: jax.Array, same: bool) -> jax.Array:
    # out[o] = sum_i in[i] kernel[i - o + before] as a matrix: convolutions with one channel per
    # group are an order of magnitude slower on a CPU.
    before, _ = _padding(len(kernel), same)
    outputs = _outputs(side, len(kernel), same)
    index = np.arange(side)[:, None] - np.arange(outputs)[None, :] + before
    inside = (index >= 0) & (index < len(kernel))
    return jnp.where(inside, kernel[np.clip(index, 0, len(kernel) - 1)], 0)


def _blocks(planes: jax.Array, size: int, axis: int, length: int, same: bool) -> jax.Array:
    """Split an axis into `[blocks, length + size - 1]`, what `length` outputs each depend on.

    The last block may have outputs beyond the end.
    """
    before, _ = _padding(size, same)
    side = planes.shape[axis]
    count = -(-_outputs(side, size, same) // length)
    padding = [(0, 0)] * planes.ndim
    padding[axis] = (before, (count + 1) * length - side - before)
    shape = (*planes.shape[:axis], count + 1, length, *planes.shape[axis + 1 :])
    blocks = jnp.pad(planes, padding).reshape(shape)
    first = lax.slice_in_dim(blocks, 0, count, axis=axis)
    next_ones = lax.slice_in_dim(blocks, 1, count + 1, axis=axis)
    overlap = lax.slice_in_dim(next_ones, 0, size - 1, axis=axis + 1)
    return jnp.concatenate([first, overlap], axis + 1)


def _shifted(planes: jax.Array, kernel: jax.Array, axis: int, same: bool) -> jax.Array:
    # For sides that are symbolic in an export.
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
