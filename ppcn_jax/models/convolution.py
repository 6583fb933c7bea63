"""Convolutions with a zero border, in the form that the platform is fast at.

On accelerators a convolution is one operation. On a processor those of few output channels leave
most of its vector units idle: there, several neighboring outputs are computed together as if they
were channels of one position, with zeros in the kernel where an output does not look. These
products with zero cost less than what the fuller matrix product gains.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Columns of the matrix product that a folded convolution aims at, as measured: kernels of one
# column, of one row, and square ones (which are worth it below 8 channels only).
_COLUMNS, _ROW_COLUMNS = 32, 64

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
    plain = functools.partial(_plain, stride=stride, dilation=dilation)
    block = _block(kernel.shape, dilation)
    symbolic = not all(isinstance(side, int) for side in x.shape)
    if stride > 1 or block == (1, 1) or symbolic or _portable.get():
        return plain(x, kernel)
    return _folded(x, kernel, dilation, block)


def _plain(x: jax.Array, kernel: jax.Array, *, stride: int, dilation: int) -> jax.Array:
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
    height, width, _, features = shape
    if height > 1 and width == 1:
        return max(_COLUMNS // features, 1), 1
    if height == 1 and width > 1:
        return 1, max((_ROW_COLUMNS if dilation == 1 else _COLUMNS) // features, 1)
    if features < 8 and dilation == 1 and height > 1:
        return 4, 2
    return 1, 1


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _folded(x: jax.Array, kernel: jax.Array, dilation: int, block: tuple[int, int]) -> jax.Array:
    return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_by_blocks, dilation=dilation, block=block),
        default=functools.partial(_plain, stride=1, dilation=dilation),
    )


@_folded.defjvp
def _derivative(dilation, block, primals, tangents):
    # Of the plain form, whose transposes are plain convolutions too.
    plain = functools.partial(_plain, stride=1, dilation=dilation)
    _, tangent = jax.jvp(plain, primals, tangents)
    return _folded(*primals, dilation, block), tangent


def _by_blocks(
    x: jax.Array, kernel: jax.Array, *, dilation: int, block: tuple[int, int]
) -> jax.Array:
    n, height, width, _ = x.shape
    taps, features = kernel.shape[:2], kernel.shape[3]
    if taps[1] == 1 and height % dilation == 0:
        # Rows that a dilated kernel skips, laid side by side: the same memory, no dilation.
        x, dilation_left = x.reshape(n, height // dilation, dilation * width, -1), 1
    else:
        dilation_left = dilation
    rows, columns = x.shape[1:3]
    padding = [
        (before, after + -side % size)
        for side, count, size in zip((rows, columns), taps, block, strict=True)
        for before, after in [_border(side, count, 1, dilation_left)]
    ]
    y = lax.conv_general_dilated(
        x,
        _block_kernel(kernel, dilation_left, block),
        window_strides=block,
        padding=padding,
        dimension_numbers=_DIMENSIONS,
    )
    y = y.reshape(*y.shape[:3], *block, features).transpose(0, 1, 3, 2, 4, 5)
    y = y.reshape(n, y.shape[1] * block[0], y.shape[3] * block[1], features)
    return y[:, :rows, :columns].reshape(n, height, width, features)


def _block_kernel(kernel: jax.Array, dilation: int, block: tuple[int, int]) -> jax.Array:
    """The kernel at each offset in a block, as output channels."""
    zero = jnp.zeros((), kernel.dtype)
    offsets = [(row, column) for row in range(block[0]) for column in range(block[1])]
    shifted = (
        lax.pad(
            kernel,
            zero,
            [
                (row, block[0] - 1 - row, dilation - 1),
                (column, block[1] - 1 - column, dilation - 1),
                (0, 0, 0),
                (0, 0, 0),
            ],
        )
        for row, column in offsets
    )
    return jnp.concatenate(list(shifted), axis=-1)
