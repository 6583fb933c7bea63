"""Convolutions with a zero border, in the form that the platform is fast at.

On accelerators a convolution is one operation. On a processor those of few output channels leave
most of its vector units idle: there, several neighboring outputs are computed together as if they
were channels of one position, with zeros in the kernel where an output does not look. These
products with zero cost less than what the wider matrix product gains.

XLA gives convolutions on processors to one of two libraries, YNNPACK or Eigen, by their shapes and
not by which is faster: up to twice, as measured. What goes to Eigen here: results that are larger
than what they are made from, and convolutions in one direction.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ppcn_jax.models.exporting import exporting
from ppcn_jax.models.moments import Moments, by_deviations, moments_of_sums, row_moments, row_sums

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# What the columns of a folded convolution's matrix product add up to, below how many rows of it
# they are more, and from how many on a square kernel is not worth folding; all as measured.
_COLUMNS, _FEW_ROWS, _MANY_ROWS = 32, 32, 512
# Of what Eigen is given: the most features, but of maps with few rows.
_FEATURES, _SMALL_MAP = 64, 25


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
    if _is_portable(x):
        return _plain(x, kernel, stride, dilation)
    y, _ = _convolve(x, kernel, stride, dilation, False)
    return y


def convolve_with_moments(
    x: jax.Array, kernel: jax.Array, *, dilation: int = 1
) -> tuple[jax.Array, Moments | None]:
    """`convolve`, and for a single image the moments of each row of the result.

    They cost less here than from the result: they do not need its blocks in order. To derivatives
    they are constants, as `spatial_moments` takes them.

    Returns:
        The result, and `row_moments` of it; None for several images, or where `convolve` is one
        operation on all platforms.
    """
    if _is_portable(x):
        return _plain(x, kernel, 1, dilation), None
    return _convolve(x, kernel, 1, dilation, x.shape[0] == 1)


def _is_portable(x: jax.Array) -> bool:
    symbolic = not all(isinstance(side, int) for side in x.shape)
    return symbolic or exporting()


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
    count = max(_COLUMNS // features, 1)
    if height == width == 1:
        return 1, 1
    if width == 1:
        return count, 1
    if rows < _FEW_ROWS:
        return 1, 8 if features <= 16 else max(2 * _COLUMNS // features, 1)
    if height == 1:
        return 1, count
    return (2, 2) if features < 8 and rows < _MANY_ROWS else (1, 1)


def _is_for_eigen(shape: tuple[int, ...], rows: int) -> bool:
    """Whether a square kernel without strides had better be given to Eigen, as measured."""
    height, width, channels, features = shape
    if min(height, width) == 1 or features < min(channels, _FEATURES):
        return False
    return features <= _FEATURES or rows < _SMALL_MAP


def _is_plain(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> bool:
    eigen = stride == dilation == 1 and _is_for_eigen(kernel.shape, x.shape[1])
    return _block(kernel.shape) == (1, 1) and not eigen


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _convolve(
    x: jax.Array, kernel: jax.Array, stride: int, dilation: int, measured: bool
) -> tuple[jax.Array, Moments | None]:
    def plain(x: jax.Array, kernel: jax.Array, moments: Callable = by_deviations):
        y = _plain(x, kernel, stride, dilation)
        return y, moments(y) if measured else None

    def in_blocks(x: jax.Array, kernel: jax.Array):
        folded = _fold(x, kernel, stride, dilation)
        return folded.image(), folded.row_moments() if measured else None

    if _is_plain(x, kernel, stride, dilation):
        return plain(x, kernel, row_moments)
    return lax.platform_dependent(x, kernel, cpu=in_blocks, default=plain)


@_convolve.defjvp
def _derivative(stride, dilation, measured, primals, tangents):
    x, kernel = primals
    y, moments = _convolve(x, kernel, stride, dilation, measured)
    plain = functools.partial(_plain, stride=stride, dilation=dilation)

    def by_input(tangent: jax.Array) -> jax.Array:
        if not centered or _is_plain(x, _turned(kernel), stride, dilation):
            return plain(tangent, kernel)
        return _transposed(lambda g: convolve(g, _turned(kernel), dilation=dilation), y, tangent)

    def by_kernel(tangent: jax.Array) -> jax.Array:
        if not centered or kernel.shape[3] >= kernel.shape[2]:
            return plain(x, tangent)
        return _transposed(lambda g: _kernel_gradient(x, g, kernel.shape, dilation), y, tangent)

    # Of these the gradient is a convolution by the turned kernel, with the same border.
    centered = stride == 1 and all(taps % 2 for taps in kernel.shape[:2])
    tangent = by_input(tangents[0]) + by_kernel(tangents[1])
    return (y, moments), (tangent, jax.tree.map(jnp.zeros_like, moments))


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


class _Folded(NamedTuple):
    """A convolution's result, `[n, rows, columns, channels]`, before it is an image.

    Attributes:
        values: as computed.
        unfold: takes them to `[n, height, width, features]` or more rows and columns; of any number
            of columns in each of the images that lie beside one another.
        size: height and width of the image.
        beside: how many images that is.
    """

    values: jax.Array
    unfold: Callable[[jax.Array], jax.Array]
    size: tuple[int, int]
    beside: int = 1

    def image(self) -> jax.Array:
        return self._cut(self.unfold(self.values))

    def row_moments(self) -> Moments:
        if jax.eval_shape(self.unfold, self.values).shape[2] > self.size[1]:
            return row_moments(self.image())
        n, rows, columns, channels = self.values.shape
        parts = self.values.reshape(n * rows, self.beside, columns // self.beside, channels)
        sums = (part.reshape(n, rows, self.beside, channels) for part in row_sums(parts))
        value, square = (self._cut(self.unfold(x).sum(axis=2, keepdims=True)) for x in sums)
        return moments_of_sums((value, square), self.size[1], self.image)

    def _cut(self, image: jax.Array) -> jax.Array:
        return image[:, : self.size[0], : self.size[1]]


def _fold(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> _Folded:
    if stride == 1 < dilation and kernel.shape[1] == 1:
        return _fold_rows_apart(x, kernel, dilation)
    if stride == 1 < dilation and kernel.shape[0] == 1:
        return _fold_columns_apart(x, kernel, dilation)
    block = _block(kernel.shape)
    outputs, padding = [], []
    for side, taps, size in zip(x.shape[1:3], kernel.shape[:2], block, strict=True):
        before, _ = _border(side, taps, stride, dilation)
        count = -(-side // stride)
        last = (count + -count % size - 1) * stride + dilation * (taps - 1)
        outputs.append(count)
        padding.append((before, last + 1 - side - before))
    strides = (stride * block[0], stride * block[1])
    y = _one_operation(x, _block_kernel(kernel, stride, dilation, block), strides, padding)

    def unfold(y: jax.Array) -> jax.Array:
        n, rows, columns, _ = y.shape
        y = y.reshape(n, rows, columns, *block, kernel.shape[3]).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(n, rows * block[0], columns * block[1], kernel.shape[3])

    return _Folded(y, unfold, (outputs[0], outputs[1]))


def _fold_rows_apart(x: jax.Array, kernel: jax.Array, dilation: int) -> _Folded:
    """Rows that a kernel of one column skips, side by side: the same memory, no dilation."""
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, -height % dilation), (0, 0), (0, 0)))
    folded = _fold(x.reshape(n, -1, dilation * width, channels), kernel, 1, 1)

    def unfold(y: jax.Array) -> jax.Array:
        y = folded.unfold(y)
        return y.reshape(n, -1, y.shape[2] // dilation, y.shape[3])

    return _Folded(folded.values, unfold, (height, width), beside=dilation)


def _fold_columns_apart(x: jax.Array, kernel: jax.Array, dilation: int) -> _Folded:
    """Columns that a kernel of one row skips, in rows of their own: no dilation."""
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, 0), (0, -width % dilation), (0, 0)))
    x = x.reshape(n, height, -1, dilation, channels).swapaxes(2, 3)
    folded = _fold(x.reshape(n, height * dilation, -1, channels), kernel, 1, 1)

    def unfold(y: jax.Array) -> jax.Array:
        y = folded.unfold(y)
        y = y.reshape(n, height, dilation, -1, y.shape[3]).swapaxes(2, 3)
        return y.reshape(n, height, -1, y.shape[4])

    return _Folded(folded.values, unfold, (height, width))


def _one_operation(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: list[tuple[int, int]]
) -> jax.Array:
    if kernel.shape[0] == strides[0] == 1:
        rows = lax.conv_general_dilated(
            x.reshape(-1, *x.shape[2:]),
            kernel[0],
            window_strides=strides[1:],
            padding=padding[1:],
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return rows.reshape(*x.shape[:2], *rows.shape[1:])
    # A row more than there was before, where Eigen is to get it; who unfolds cuts it off.
    more = int(strides[0] == 1 and _is_for_eigen(kernel.shape, x.shape[1]))
    (above, below), beside = padding
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=[(above, below + more), beside],
        dimension_numbers=_DIMENSIONS,
    )


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
