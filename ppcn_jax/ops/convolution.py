"""Convolutions with zero padding, in the form that the platform is fast at."""

import functools

import jax
from jax import lax

from ppcn_jax.ops.folding import DIMENSIONS, block_shape, fold, same_padding
from ppcn_jax.ops.portable import exporting


def convolve(x: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1) -> jax.Array:
    """Convolution with zero padding that keeps the size (divided by the stride, rounded up).

    One operation on accelerators, in exports and for symbolic shapes; on processors, kernels of few
    output channels are folded (see `folding`).

    Args:
        x: `[N, H, W, C]`.
        kernel: `[kh, kw, C, F]`, of the same type.
        stride: of both directions.
        dilation: of both directions.

    Returns:
        `[N, ceil(H / stride), ceil(W / stride), F]`, up to rounding the same on every platform.
    """
    plain = functools.partial(_plain, stride=stride, dilation=dilation)
    symbolic = not all(isinstance(side, int) for side in x.shape)
    if stride > 1 or block_shape(kernel.shape) == (1, 1) or symbolic or exporting():
        return plain(x, kernel)
    folded = functools.partial(fold, dilation=dilation)
    return lax.platform_dependent(x, kernel, cpu=folded, default=plain)


def _plain(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
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
    )
