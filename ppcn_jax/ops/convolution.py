"""Convolutions with zero padding, in the form that the platform is fast at.

On accelerators and in exports a convolution is one operation, and so is its gradient. On processors
convolutions of few output channels are folded (see `folding`), and gradients take the form that is
faster there.
"""

import functools
from collections.abc import Callable

import jax
from jax import lax

from ppcn_jax.ops.folding import DIMENSIONS, block_shape, fold, same_padding
from ppcn_jax.ops.portable import exporting


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int = 1,
    dilation: int = 1,
    precision: lax.Precision = lax.Precision.HIGHEST,
) -> jax.Array:
    """Convolution with zero padding that keeps the size (divided by the stride, rounded up).

    Args:
        x: `[N, H, W, C]`.
        kernel: `[kh, kw, C, F]`, of the same type.
        stride: of both directions.
        dilation: of both directions.
        precision: of the products, also in gradients; without one, JAX would round float32 to
            bfloat16 on TPUs.

    Returns:
        `[N, ceil(H / stride), ceil(W / stride), F]`, up to rounding the same on every platform.
    """
    symbolic = not all(isinstance(side, int) for side in x.shape)
    odd = all(taps % 2 for taps in kernel.shape[:2])
    if symbolic or exporting() or stride > 1 or not odd:
        return _plain(x, kernel, dilation, precision, stride)
    return _convolve(x, kernel, dilation, precision)


def _plain(
    x: jax.Array, kernel: jax.Array, dilation: int, precision: lax.Precision, stride: int = 1
) -> jax.Array:
    padding = [
        same_padding(side, taps, stride, dilation)
        for side, taps in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    ]
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=DIMENSIONS,
        precision=precision,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _convolve(
    x: jax.Array, kernel: jax.Array, dilation: int, precision: lax.Precision
) -> jax.Array:
    plain = functools.partial(_plain, dilation=dilation, precision=precision)
    if block_shape(kernel.shape) == (1, 1):
        return plain(x, kernel)
    folded = functools.partial(fold, dilation=dilation, precision=precision)
    return lax.platform_dependent(x, kernel, cpu=folded, default=plain)


@_convolve.defjvp
def _derivative(
    dilation: int,
    precision: lax.Precision,
    primals: tuple[jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    x, kernel = primals
    y = _convolve(x, kernel, dilation, precision)

    # A tangent is written as the transpose of its gradient, which reverse mode transposes back: so
    # a gradient can have a form that XLA does not find. Forward mode is slower for it.
    def transposed(gradient: Callable[[jax.Array], jax.Array], tangent: jax.Array) -> jax.Array:
        return jax.linear_transpose(gradient, y)(tangent)[0]

    if block_shape(_turned(kernel).shape) == (1, 1):
        by_x = _plain(tangents[0], kernel, dilation, precision)
    else:
        by_x = transposed(lambda g: _convolve(g, _turned(kernel), dilation, precision), tangents[0])
    if kernel.shape[3] >= kernel.shape[2]:
        by_kernel = _plain(x, tangents[1], dilation, precision)
    else:
        gradient = functools.partial(
            _kernel_gradient, shape=kernel.shape, dilation=dilation, precision=precision
        )
        by_kernel = transposed(lambda g: gradient(x, g), tangents[1])
    return y, by_x + by_kernel


def _turned(kernel: jax.Array) -> jax.Array:
    """The kernel of the gradient with respect to the input."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _kernel_gradient(
    x: jax.Array, g: jax.Array, shape: tuple[int, ...], dilation: int, precision: lax.Precision
) -> jax.Array:
    """Gradient with respect to a kernel of this shape, of fewer output than input channels."""

    def gradient(x: jax.Array, g: jax.Array, shape: tuple[int, ...] = shape) -> jax.Array:
        kernel = jax.ShapeDtypeStruct(shape, x.dtype)
        return jax.linear_transpose(lambda k: _plain(x, k, dilation, precision), kernel)(g)[0]

    def turned(x: jax.Array, g: jax.Array) -> jax.Array:
        # The same sums as for a kernel from `g` to `x`: up to four times as fast on processors.
        return _turned(gradient(g, x, (*shape[:2], shape[3], shape[2])))

    return lax.platform_dependent(x, g, cpu=turned, default=gradient)
