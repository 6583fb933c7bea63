"""Convolutions with a zero border, in the form that the platform is fast at.

On accelerators a convolution is one operation. On a processor those of few output channels leave
most of its vector units idle: there, several neighboring outputs are computed together as if they
were channels of one position, with zeros in the kernel where an output does not look. These
products with zero cost less than what the wider matrix product gains.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# What the columns of a folded convolution's matrix product add up to, as measured, and below how
# many rows of it they are the more.
_COLUMNS, _MORE_COLUMNS, _FEW_ROWS = 32, 64, 32

_portable = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Let convolutions traced inside be single operations everywhere, for programs that leave JAX."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


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
    if symbolic or _portable.get():
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


def _block(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the block of outputs that are computed together, as measured."""
    height, width, channels, features = shape
    rows = height * width * channels
    count = max((_MORE_COLUMNS if rows < _FEW_ROWS else _COLUMNS) // features, 1)
    if height == width == 1 or count == 1:
        return 1, 1
    if width == 1:
        return count, 1
    if height == 1 or rows < _FEW_ROWS:
        return 1, count
    return (4, 2) if features < 8 else (1, 1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _convolve(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
    plain = functools.partial(_plain, stride=stride, dilation=dilation)
    block = _block(kernel.shape)
    if block == (1, 1):
        return plain(x, kernel)
    blocks = functools.partial(_by_blocks, stride=stride, dilation=dilation, block=block)
    return lax.platform_dependent(x, kernel, cpu=blocks, default=plain)


@_convolve.defjvp
def _derivative(stride, dilation, primals, tangents):
    x, kernel = primals
    y = _convolve(x, kernel, stride, dilation)
    if stride > 1 or not all(taps % 2 for taps in kernel.shape[:2]):
        plain = functools.partial(_plain, stride=stride, dilation=dilation)
        return y, jax.jvp(plain, primals, tangents)[1]

    # Both gradients are convolutions for which there are faster forms than the compiler finds.
    # The tangents are written as their transposes, which reverse mode transposes back to them.
    def to_input(g: jax.Array) -> jax.Array:
        return _convolve(g, _turned(kernel), 1, dilation)

    def to_kernel(g: jax.Array) -> jax.Array:
        return _kernel_gradient(x, g, kernel.shape[:2], dilation)

    pairs = zip((to_input, to_kernel), tangents, strict=True)
    first, second = (jax.linear_transpose(gradient, y)(tangent)[0] for gradient, tangent in pairs)
    return y, first + second


def _turned(kernel: jax.Array) -> jax.Array:
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _kernel_gradient(x: jax.Array, g: jax.Array, taps: tuple[int, int], dilation: int) -> jax.Array:
    """Gradient of the kernel that takes `x` to what has the gradient `g`."""

    def gradient(x: jax.Array, g: jax.Array) -> jax.Array:
        kernel = jax.ShapeDtypeStruct((*taps, x.shape[3], g.shape[3]), x.dtype)
        return jax.linear_transpose(lambda k: _plain(x, k, 1, dilation), kernel)(g)[0]

    if g.shape[3] >= x.shape[3]:
        return gradient(x, g)
    # XLA on a processor is up to four times as fast at the kernel that goes the other way.
    return lax.platform_dependent(x, g, cpu=lambda x, g: _turned(gradient(g, x)), default=gradient)


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
