"""Convolutions with a zero border, in the form that the platform is fast at.

On accelerators a convolution is one operation. On a processor those of few output channels leave
most of its vector units idle: there, several neighboring outputs are computed together as if they
were channels of one position, with zeros in the kernel where an output does not look. These
products with zero cost less than what the wider matrix product gains.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ppcn_jax.models.exporting import exporting

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# What the columns of a folded convolution's matrix product add up to, as measured, below how many
# rows of it they are the more, and from how many on a square kernel is not worth folding.
_COLUMNS, _MORE_COLUMNS, _FEW_ROWS, _MANY_ROWS = 32, 64, 32, 512


def convolve(x: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1) -> jax.Array:
    """Convolution with a zero border that keeps the size (divided by the stride, rounded up).

    Args:
        x: `[N, H, W, C]`.
        kernel: `[kh, kw, C, F]`, of the same type.
        stride: of both directions.
        dilation: of both directions.

    Returns:
        `[N, ceil(H / stride), ceil(W / stride), F]`, up to rounding the same on every platform.
    """
    symbolic = not all(isinstance(side, int) for side in x.shape)
    if symbolic or exporting():
        return _plain(x, kernel, stride, dilation)
    return _convolve(x, kernel, stride, dilation)


def _plain(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
    padding = [
        _border(side, taps, stride, dilation)
        for side, taps in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    ]
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
    )


def _border(side: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    if stride == 1:  # does not depend on the side, which may be symbolic
        total = dilation * (taps - 1)
    else:
        total = max((-(-side // stride) - 1) * stride + taps - side, 0)
    return total // 2, total - total // 2


def _block(shape: tuple[int, ...], dilation: int) -> tuple[int, int]:
    """Height and width of the block of outputs that are computed together, as measured."""
    height, width, channels, features = shape
    rows = height * width * channels
    count = max((_MORE_COLUMNS if rows < _FEW_ROWS else _COLUMNS) // features, 1)
    skips_columns = width > 1 and dilation > 1
    if height == width == 1 or count == 1 or skips_columns:
        return 1, 1
    if width == 1:
        return count, 1
    if height == 1 or rows < _FEW_ROWS:
        return 1, count
    return (4, 2) if features < 8 and rows < _MANY_ROWS else (1, 1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _convolve(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
    plain = functools.partial(_plain, stride=stride, dilation=dilation)
    block = _block(kernel.shape, dilation)
    if block == (1, 1):
        return plain(x, kernel)
    blocks = functools.partial(_by_blocks, stride=stride, dilation=dilation, block=block)
    return lax.platform_dependent(x, kernel, cpu=blocks, default=plain)


@_convolve.defjvp
def _derivative(stride, dilation, primals, tangents):
    x, kernel = primals
    y = _convolve(x, kernel, stride, dilation)
    plain = functools.partial(_plain, stride=stride, dilation=dilation)

    def by_input(tangent: jax.Array) -> jax.Array:
        if not centered or _block(_turned(kernel).shape, dilation) == (1, 1):
            return plain(tangent, kernel)
        return _transposed(lambda g: _convolve(g, _turned(kernel), 1, dilation), y, tangent)

    def by_kernel(tangent: jax.Array) -> jax.Array:
        if not centered or kernel.shape[3] >= kernel.shape[2]:
            return plain(x, tangent)
        return _transposed(lambda g: _kernel_gradient(x, g, kernel.shape, dilation), y, tangent)

    # Of these the gradient is a convolution by the turned kernel, with the same border.
    centered = stride == 1 and all(taps % 2 for taps in kernel.shape[:2])
    return y, by_input(tangents[0]) + by_kernel(tangents[1])


def _transposed(gradient: Callable, y: jax.Array, tangent: jax.Array) -> jax.Array:
    # A tangent written as the transpose of its gradient, which reverse mode transposes back: so a
    # gradient can have a form that the compiler does not find. Forward mode is slower for it.
    return jax.linear_transpose(gradient, y)(tangent)[0]


def _turned(kernel: jax.Array) -> jax.Array:
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _kernel_gradient(
    x: jax.Array, g: jax.Array, shape: tuple[int, ...], dilation: int
) -> jax.Array:
    """Gradient of a kernel of this shape that takes `x` to what has the gradient `g`."""

    def gradient(x: jax.Array, g: jax.Array, shape: tuple[int, ...] = shape) -> jax.Array:
        kernel = jax.ShapeDtypeStruct(shape, x.dtype)
        return jax.linear_transpose(lambda k: _plain(x, k, 1, dilation), kernel)(g)[0]

    def turned(x: jax.Array, g: jax.Array) -> jax.Array:
        # Of the kernel that goes the other way, from fewer channels: up to four times as fast.
        return _turned(gradient(g, x, (*shape[:2], shape[3], shape[2])))

    return lax.platform_dependent(x, g, cpu=turned, default=gradient)


def _by_blocks(
    x: jax.Array, kernel: jax.Array, *, stride: int, dilation: int, block: tuple[int, int]
) -> jax.Array:
    if kernel.shape[1] == stride == 1 < dilation and x.shape[1] % dilation == 0:
        # Rows that a dilated kernel skips, laid side by side: the same memory, no dilation.
        n, height, width, channels = x.shape
        beside = x.reshape(n, height // dilation, dilation * width, channels)
        y = _by_blocks(beside, kernel, stride=1, dilation=1, block=block)
        return y.reshape(n, height, width, -1)
    outputs, padding = [], []
    for side, taps, size in zip(x.shape[1:3], kernel.shape[:2], block, strict=True):
        before, _ = _border(side, taps, stride, dilation)
        count = -(-side // stride)
        last = (count + -count % size - 1) * stride + dilation * (taps - 1)
        outputs.append(count)
        padding.append((before, last + 1 - side - before))
    y = lax.conv_general_dilated(
        x,
        _block_kernel(kernel, stride, dilation, block),
        window_strides=(stride * block[0], stride * block[1]),
        padding=padding,
        dimension_numbers=_DIMENSIONS,
    )
    n, rows, columns, _ = y.shape
    y = y.reshape(n, rows, columns, *block, kernel.shape[3]).transpose(0, 1, 3, 2, 4, 5)
    y = y.reshape(n, rows * block[0], columns * block[1], kernel.shape[3])
    return y[:, : outputs[0], : outputs[1]]


def _block_kernel(
    kernel: jax.Array, stride: int, dilation: int, block: tuple[int, int]
) -> jax.Array:
    """The kernel at each offset in a block, as output channels."""

    def shifted(*offsets: int) -> jax.Array:
        sides = [
            (stride * offset, stride * (size - 1 - offset), dilation - 1)
            for offset, size in zip(offsets, block, strict=True)
        ]
        return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*sides, (0, 0, 0), (0, 0, 0)])

    return jnp.concatenate([shifted(*offsets) for offsets in np.ndindex(*block)], axis=-1)
