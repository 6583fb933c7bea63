"""Convolutions of few output channels on processors: blocks of neighboring outputs at once.

A convolution of few output channels leaves most of a processor's vector units idle. Here a block of
neighboring outputs is computed as the channels of one position, by a larger kernel that contains the
original one once for each output, shifted, among zeros. The wider matrix product gains more than the
products with zero cost; docs/speed.md has the measurements.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Tuning thresholds, measured: output channels per block; kernels of fewer values per output than
# `_SMALL_KERNEL` use wider blocks; square kernels of `_LARGE_KERNEL` or more are not folded.
_CHANNELS, _SMALL_KERNEL, _LARGE_KERNEL = 32, 32, 512


def same_padding(side: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after that keep a side (divided by the stride), as TensorFlow's SAME.

    The side may be symbolic where the stride is 1.
    """
    if stride == 1:
        total = dilation * (taps - 1)
    else:
        total = max((-(-side // stride) - 1) * stride + dilation * (taps - 1) + 1 - side, 0)
    return total // 2, total - total // 2


def block_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the blocks that pay off for a kernel `(kh, kw, C, F)`, without stride.

    (1, 1) where a plain convolution is as fast.
    """
    height, width, channels, features = shape
    values = height * width * channels
    count = max(_CHANNELS // features, 1)
    if height == width == 1:
        return 1, 1
    if width == 1:
        return count, 1
    if values < _SMALL_KERNEL and features <= 16:
        return 1, 8
    if height == 1:
        return 1, count
    return (2, 2) if features < 8 and values < _LARGE_KERNEL else (1, 1)


def fold(x: jax.Array, kernel: jax.Array, dilation: int, precision: lax.Precision) -> jax.Array:
    """A convolution without stride, zero-padded to its size, in blocks of `block_shape`.

    `x` is `[N, H, W, C]`, `kernel` `[kh, kw, C, F]`; returns `[N, H, W, F]`.
    """
    n, height, width, channels = x.shape
    if dilation > 1 and kernel.shape[1] == 1:
        # Rows that the kernel skips are placed side by side: no dilation is left.
        x = jnp.pad(x, ((0, 0), (0, -height % dilation), (0, 0), (0, 0)))
        y = fold(x.reshape(n, -1, dilation * width, channels), kernel, 1, precision)
        return y.reshape(n, -1, width, y.shape[3])[:, :height]
    if dilation > 1 and kernel.shape[0] == 1:
        # Columns that the kernel skips become rows of their own.
        x = jnp.pad(x, ((0, 0), (0, 0), (0, -width % dilation), (0, 0)))
        x = x.reshape(n, height, -1, dilation, channels).swapaxes(2, 3)
        y = fold(x.reshape(n, height * dilation, -1, channels), kernel, 1, precision)
        y = y.reshape(n, height, dilation, -1, y.shape[3]).swapaxes(2, 3)
        return y.reshape(n, height, -1, y.shape[4])[:, :, :width]

    block = block_shape(kernel.shape)
    wide = _block_kernel(kernel, block, dilation)
    padding = []
    for side, taps, size in zip((height, width), kernel.shape[:2], block, strict=True):
        before, after = same_padding(side, taps, 1, dilation)
        padding.append((before, after + -side % size))
    if kernel.shape[0] == block[0] == 1:  # a convolution of one dimension is faster as such
        y = lax.conv_general_dilated(
            x.reshape(-1, width, channels),
            wide[0],
            window_strides=block[1:],
            padding=padding[1:],
            dimension_numbers=("NWC", "WIO", "NWC"),
            precision=precision,
        )
        y = y.reshape(n, height, *y.shape[1:])
    else:
        y = lax.conv_general_dilated(
            x,
            wide,
            window_strides=block,
            padding=padding,
            dimension_numbers=DIMENSIONS,
            precision=precision,
        )
    rows, columns = y.shape[1:3]
    y = y.reshape(n, rows, columns, *block, -1).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, rows * block[0], columns * block[1], -1)[:, :height, :width]


def _block_kernel(kernel: jax.Array, block: tuple[int, int], dilation: int) -> jax.Array:
    """The kernel shifted to each output of a block, as features one after another."""

    def shifted(*offsets: int) -> jax.Array:
        sides = [
            (offset, size - 1 - offset, dilation - 1)
            for offset, size in zip(offsets, block, strict=True)
        ]
        return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*sides, (0, 0, 0), (0, 0, 0)])

    return jnp.concatenate([shifted(*offsets) for offsets in np.ndindex(*block)], axis=-1)
