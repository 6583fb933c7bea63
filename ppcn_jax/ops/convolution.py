"""Convolutions with a zero border, in the form that the platform is fast at.

On accelerators a convolution is one operation; on processors it is folded where that pays, and so
is its gradient.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.ops.folding import DIMENSIONS, border, fold, pays
from ppcn_jax.ops.moments import Moments, by_deviations, row_moments
from ppcn_jax.ops.portable import exporting


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    plus: jax.Array | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> jax.Array:
    """Convolution with a zero border that keeps the size (divided by the stride, rounded up).

    Args:
        x: `[N, H, W, C]`.
        kernel: `[kh, kw, C, F]`, of the same type.
        bias: float32 `[F]`, added to each position.
        plus: what is added to the result, of its shape and type.
        stride: of both directions.
        dilation: of both directions.

    Returns:
        `[N, ceil(H / stride), ceil(W / stride), F]`, up to rounding the same on every platform.
    """
    if _is_portable(x):
        y = _plain(x, kernel, stride, dilation)
    else:
        y, _ = _convolve(x, kernel, stride, dilation, False)
    if bias is not None:
        # In the bias's type, so that its gradient is summed in it too.
        y = (y.astype(bias.dtype) + bias[None, None, None]).astype(y.dtype)
    return y if plus is None else y + plus


def convolve_with_moments(
    x: jax.Array, kernel: jax.Array, *, dilation: int = 1
) -> tuple[jax.Array, Moments | None]:
    """`convolve`, and for a single image the moments of each row of the result.

    They cost less here than from the result: they do not need its blocks in order. To derivatives
    they are constants, as `spatial_moments` takes them.

    Args:
        x: `[N, H, W, C]`.
        kernel: `[kh, kw, C, F]`, of the same type.
        dilation: of both directions.

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


def _padding(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> list[tuple[int, int]]:
    return [
        border(side, taps, stride, dilation)
        for side, taps in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    ]


def _plain(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=_padding(x, kernel, stride, dilation),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=DIMENSIONS,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _convolve(
    x: jax.Array, kernel: jax.Array, stride: int, dilation: int, measured: bool
) -> tuple[jax.Array, Moments | None]:
    def plain(x: jax.Array, kernel: jax.Array, moments: Callable = by_deviations):
        y = _plain(x, kernel, stride, dilation)
        return y, moments(y) if measured else None

    def in_blocks(x: jax.Array, kernel: jax.Array):
        folded = fold(x, kernel, stride, dilation)
        return folded.image(), folded.row_moments() if measured else None

    if not pays(kernel.shape, stride, dilation):
        return plain(x, kernel, row_moments)
    return lax.platform_dependent(x, kernel, cpu=in_blocks, default=plain)


@_convolve.defjvp
def _derivative(stride, dilation, measured, primals, tangents):
    x, kernel = primals
    y, moments = _convolve(x, kernel, stride, dilation, measured)
    plain = functools.partial(_plain, stride=stride, dilation=dilation)

    def by_input(tangent: jax.Array) -> jax.Array:
        if not centered or not pays(_turned(kernel).shape, stride, dilation):
            return plain(tangent, kernel)
        return _transposed(lambda g: convolve(g, _turned(kernel), dilation=dilation), y, tangent)

    def by_kernel(tangent: jax.Array) -> jax.Array:
        if not centered or kernel.shape[3] >= kernel.shape[2]:
            return plain(x, tangent)
        return _transposed(lambda g: _kernel_gradient(x, g, kernel.shape, dilation), y, tangent)

    centered = _is_centered(kernel, stride)
    tangent = by_input(tangents[0]) + by_kernel(tangents[1])
    return (y, moments), (tangent, jax.tree.map(jnp.zeros_like, moments))


def _is_centered(kernel: jax.Array, stride: int) -> bool:
    """Whether the input's gradient is a convolution by the turned kernel, of the same border."""
    return stride == 1 and all(taps % 2 for taps in kernel.shape[:2])


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

    if shape[3] >= shape[2]:
        return gradient(x, g)
    return lax.platform_dependent(x, g, cpu=turned, default=gradient)
