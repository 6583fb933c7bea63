"""Building blocks that several networks share.

Padding is always explicit: "SAME" is resolved from the image size at trace time, which
exports with dynamic sizes get wrong for dilated kernels.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from ppcn_jax.ops.convolution import convolve, convolve_with_moments
from ppcn_jax.ops.moments import Moments, spatial_moments

Params = Any

SMALLEST_SIDE = 16

_KERNEL_INIT = nn.initializers.truncated_normal(0.01)
_BIAS_INIT = nn.initializers.constant(0.01)


def check_images(images: jax.Array, channels: int = 3) -> None:
    """Check what a network is called with.

    Args:
        images: should be float `[N, H, W, channels]`, H and W >= 16.
        channels: number of channels.

    Raises:
        TypeError: not floating.
        ValueError: another rank, number of channels, or a side below 16 px.
    """
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floating in [0, 1], got {images.dtype}")
    if images.ndim != 4 or images.shape[3] != channels:
        raise ValueError(f"images must be [N, H, W, {channels}], got {images.shape}")
    if images.shape[1] < SMALLEST_SIDE or images.shape[2] < SMALLEST_SIDE:
        raise ValueError(
            f"images must be at least {SMALLEST_SIDE} px on each side, got {images.shape}"
        )


def enhancer_output(x: jax.Array) -> jax.Array:
    """Output map of the enhancers: 0.58 tanh(x) + 0.5, a little more than [0, 1].

    Args:
        x: `[N, H, W, 3]`.

    Returns:
        float32 of the same shape, in [-0.08, 1.08].
    """
    return 0.58 * jnp.tanh(x.astype(jnp.float32)) + 0.5


class Conv(nn.Module):
    """Convolution with a zero border that keeps the size (divided by the stride, rounded up).

    Call with `[N, H, W, C]`; or with several, whose channels count as one after another's, for
    less than it costs to concatenate them. Returns the result, and `plus` added to it if given;
    `before_norm`, what the norm is to be called with: the result and the moments of its rows, as
    `convolve_with_moments`.

    Attributes:
        features: output channels.
        kernel: height and width.
        stride: of both directions.
        dilation: of both directions.
        before_norm: the output goes straight into an instance norm, which would take the bias out
            again: it is not added. Its gradient is then exactly 0 instead of rounding noise, which
            Adam would scale up to full steps that differ from machine to machine. Of one input,
            without stride or `plus`.
        kernel_init: initial kernel; by default a truncated normal of deviation 0.01.
        bias_init: initial bias; by default 0.01.
        dtype: compute type of the products.

    Raises:
        ValueError: several inputs, a stride or `plus` before a norm.
    """

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    dilation: int = 1
    before_norm: bool = False
    kernel_init: Initializer = _KERNEL_INIT
    bias_init: Initializer = _BIAS_INIT
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, *parts: jax.Array, plus: jax.Array | None = None):
        channels = [x.shape[-1] for x in parts]
        shape = (*self.kernel, sum(channels), self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        kernel, *inputs = nn.dtypes.promote_dtype(kernel, *parts, dtype=self.dtype)
        if self.before_norm:
            if len(inputs) > 1 or self.stride > 1 or plus is not None:
                raise ValueError("before a norm, a convolution has one input and no stride or plus")
            return convolve_with_moments(inputs[0], kernel, dilation=self.dilation)
        kernels = jnp.split(kernel, np.cumsum(channels)[:-1], axis=2)
        biases = [bias, *(None for _ in inputs[1:])]
        for x, part, addend in zip(inputs, kernels, biases, strict=True):
            plus = convolve(x, part, addend, plus, stride=self.stride, dilation=self.dilation)
        return plus


class Statistics(nn.Module):
    """Mean and biased variance over height and width, per image and channel.

    Call with `[N, H, W, C]`, and the moments of its rows if they are known; returns both as float32
    `[N, 1, 1, C]`. All that a network takes from a whole image goes through this module, which has
    no parameters: who runs a network on a part of an image can supply the statistics of the whole
    in its place.
    """

    @nn.compact
    def __call__(self, x: jax.Array, rows: Moments | None = None) -> tuple[jax.Array, jax.Array]:
        return spatial_moments(x, rows)


class InstanceNorm(nn.Module):
    """Normalization over height and width per image and channel: scale * x_hat + shift.

    Call with `[N, H, W, C]`, and the moments of its rows if they are known. Statistics are float32
    whatever the input's type; biased variance, 1e-3 inside the root.
    """

    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: jax.Array, rows: Moments | None = None) -> jax.Array:
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))[None, None, None]
        shift = self.param("shift", nn.initializers.zeros, (channels,))[None, None, None]
        mean, variance = Statistics(name="statistics")(x, rows)
        centered = x.astype(jnp.float32) - mean
        y = centered * (scale * lax.rsqrt(variance + self.epsilon)) + shift
        return y.astype(x.dtype)
