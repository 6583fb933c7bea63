"""Convolutions on processors: in blocks, and for the faster of XLA's two libraries.

Those of few output channels leave most of a processor's vector units idle: there, several
neighboring outputs are computed together as if they were channels of one position, with zeros in
the kernel where an output does not look. These products with zero cost less than what the wider
matrix product gains.

XLA gives convolutions on processors to one of two libraries, YNNPACK or Eigen, by their shapes and
not by which is faster: up to twice, as measured. What goes to Eigen here: results that are larger
than what they are made from, and convolutions in one direction.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ppcn_jax.ops.moments import Moments, moments_of_sums, row_moments, row_sums

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# What the columns of a folded convolution's matrix product add up to, below how many rows of it
# they are more, and from how many on a square kernel is not worth folding; all as measured.
_COLUMNS, _FEW_ROWS, _MANY_ROWS = 32, 32, 512
# The most features of a square kernel that Eigen is given.
_FEATURES = 64


def pays(shape: tuple[int, ...], stride: int, dilation: int) -> bool:
    """Whether a convolution is faster folded than as one plain operation, as measured.

    Args:
        shape: of the kernel, `(kh, kw, C, F)`.
        stride: of both directions.
        dilation: of both directions.

    Returns:
        Whether `fold` is for it.
    """
    if stride > 1:
        return dilation == 1 and shape[3] <= _FEATURES
    return _block(shape) != (1, 1) or (dilation == 1 and _is_for_eigen(shape))


def border(side: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros that keep a side of an image (divided by the stride, rounded up), as TensorFlow's SAME.

    Args:
        side: of the image, px; may be symbolic without stride.
        taps: of the kernel in this direction.
        stride: in this direction.
        dilation: in this direction.

    Returns:
        How many before and how many after.
    """
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


def _is_for_eigen(shape: tuple[int, ...]) -> bool:
    """Whether a square kernel without strides had better be given to Eigen, as measured."""
    height, width, channels, features = shape
    return min(height, width) > 1 and min(channels, _FEATURES) <= features <= _FEATURES


class Folded(NamedTuple):
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
        """The result in order, `[n, height, width, features]`."""
        return self._cut(self.unfold(self.values))

    def row_moments(self) -> Moments:
        """Those of the rows of a single image, without putting it in order."""
        if jax.eval_shape(self.unfold, self.values).shape[2] > self.size[1]:
            return row_moments(self.image())
        n, rows, columns, channels = self.values.shape
        parts = self.values.reshape(n * rows, self.beside, columns // self.beside, channels)
        sums = (part.reshape(n, rows, self.beside, channels) for part in row_sums(parts))
        value, square = (self._cut(self.unfold(x).sum(axis=2, keepdims=True)) for x in sums)
        return moments_of_sums((value, square), self.size[1], self.image)

    def _cut(self, image: jax.Array) -> jax.Array:
        return image[:, : self.size[0], : self.size[1]]


def fold(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> Folded:
    """A convolution as `convolve`, in the fastest form.

    Args:
        x: `[n, H, W, C]`.
        kernel: `[kh, kw, C, F]`.
        stride: of both directions.
        dilation: of both directions.

    Returns:
        What has the image, `[n, ceil(H / stride), ceil(W / stride), F]`.
    """
    if stride > 1:
        return _fold_columns_together(x, kernel, stride)
    if dilation > 1 and kernel.shape[1] == 1:
        return _fold_rows_apart(x, kernel, dilation)
    if dilation > 1 and kernel.shape[0] == 1:
        return _fold_columns_apart(x, kernel, dilation)
    block = _block(kernel.shape)
    padding = []
    for side, taps, size in zip(x.shape[1:3], kernel.shape[:2], block, strict=True):
        before, after = border(side, taps, 1, dilation)
        padding.append((before, after + -side % size))
    y = _one_operation(x, block_kernel(kernel, block, 1, dilation), block, padding)
    return Folded(y, _by_blocks(block, kernel.shape[3]), (x.shape[1], x.shape[2]))


def _by_blocks(block: tuple[int, int], features: int) -> Callable[[jax.Array], jax.Array]:
    """What takes blocks of outputs apart."""

    def unfold(y: jax.Array) -> jax.Array:
        n, rows, columns, _ = y.shape
        y = y.reshape(n, rows, columns, *block, features).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(n, rows * block[0], columns * block[1], features)

    return unfold


def _fold_columns_together(x: jax.Array, kernel: jax.Array, stride: int) -> Folded:
    """Columns that a stride skips as channels, also of what is computed: the same memory."""
    n, height, width, channels = x.shape
    block = (1, max(_FEATURES // kernel.shape[3], 1))
    group = stride * block[1]
    (above, below), (before, _) = (
        border(side, taps, stride, 1)
        for side, taps in zip((height, width), kernel.shape[:2], strict=True)
    )
    # The kernel is widened to whole groups, of which the first `groups_before` are border.
    groups_before = -(-before // group)
    lead = groups_before * group - before
    wide = block_kernel(kernel, block, stride)
    groups = -(-(lead + wide.shape[1]) // group)
    trail = groups * group - lead - wide.shape[1]
    wide = jnp.pad(wide, ((0, 0), (lead, trail), (0, 0), (0, 0)))
    x = jnp.pad(x, ((0, 0), (0, 0), (0, -width % group), (0, 0)))
    y = lax.conv_general_dilated(
        x.reshape(n, height, -1, group * channels),
        wide.reshape(kernel.shape[0], groups, group * channels, -1),
        window_strides=(stride, 1),
        # A column more than there was before: Eigen gets it.
        padding=[(above, below), (groups_before, groups - groups_before)],
        dimension_numbers=DIMENSIONS,
    )
    size = (-(-height // stride), -(-width // stride))
    return Folded(y, _by_blocks(block, kernel.shape[3]), size)


def _fold_rows_apart(x: jax.Array, kernel: jax.Array, dilation: int) -> Folded:
    """Rows that a kernel of one column skips, side by side: the same memory, no dilation."""
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, -height % dilation), (0, 0), (0, 0)))
    folded = fold(x.reshape(n, -1, dilation * width, channels), kernel, 1, 1)

    def unfold(y: jax.Array) -> jax.Array:
        y = folded.unfold(y)
        return y.reshape(n, -1, y.shape[2] // dilation, y.shape[3])

    return Folded(folded.values, unfold, (height, width), beside=dilation)


def _fold_columns_apart(x: jax.Array, kernel: jax.Array, dilation: int) -> Folded:
    """Columns that a kernel of one row skips, in rows of their own: no dilation."""
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, 0), (0, -width % dilation), (0, 0)))
    x = x.reshape(n, height, -1, dilation, channels).swapaxes(2, 3)
    folded = fold(x.reshape(n, height * dilation, -1, channels), kernel, 1, 1)

    def unfold(y: jax.Array) -> jax.Array:
        y = folded.unfold(y)
        y = y.reshape(n, height, dilation, -1, y.shape[3]).swapaxes(2, 3)
        return y.reshape(n, height, -1, y.shape[4])

    return Folded(folded.values, unfold, (height, width))


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
    more = int(strides[0] == 1 and _is_for_eigen(kernel.shape))
    (above, below), beside = padding
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=[(above, below + more), beside],
        dimension_numbers=DIMENSIONS,
    )


def block_kernel(
    kernel: jax.Array, block: tuple[int, int], stride: int = 1, dilation: int = 1
) -> jax.Array:
    """The kernel at each offset in a block of outputs, as features of its own.

    Args:
        kernel: `[kh, kw, C, F]`.
        block: height and width.
        stride: from an output to the next one, of both directions.
        dilation: of both directions.

    Returns:
        A kernel of the strides `stride * block`, with as many more rows and columns as the block
        takes, and features for each of its outputs, row by row.
    """

    def shifted(*offsets: int) -> jax.Array:
        sides = [
            (stride * offset, stride * (size - 1 - offset), dilation - 1)
            for offset, size in zip(offsets, block, strict=True)
        ]
        return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*sides, (0, 0, 0), (0, 0, 0)])

    return jnp.concatenate([shifted(*offsets) for offsets in np.ndindex(*block)], axis=-1)
