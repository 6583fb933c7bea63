"""Building blocks that several networks share.

Padding is always explicit. "SAME" is resolved from the image size at trace time, so that exports
with dynamic sizes would compute dilated kernels wrongly.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from ppcn_jax.models.definitions import SMALLEST_SIDE
from ppcn_jax.ops.convolution import convolve
from ppcn_jax.ops.moments import spatial_moments
from ppcn_jax.ops.reflection import reflect


class Products(NamedTuple):
    """How a convolution multiplies: the type of its factors, and JAX's precision.

    The type is None where the factors stay as they are.
    """

    dtype: DTypeLike | None
    precision: lax.Precision


# Every product names its precision: JAX's default rounds the factors of float32 products to
# bfloat16 on TPUs and to TF32 on GPUs.
PRECISIONS = {
    "float32": Products(None, lax.Precision.HIGHEST),
    # TF32 on NVIDIA's GPUs, sums of three products in bfloat16 on TPUs, float32 on processors.
    "tensorfloat32": Products(None, lax.Precision.HIGH),
    "bfloat16": Products(jnp.bfloat16, lax.Precision.DEFAULT),
}

_KERNEL_INIT = nn.initializers.truncated_normal(0.01)
_BIAS_INIT = nn.initializers.constant(0.01)


def check_images(images: jax.Array, channels: int = 3) -> None:
    """Check a network's input: float `[N, H, W, channels]`, H and W >= 16.

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


def layer_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> jax.Array:
    """The array that a `Conv` or `Statistics` is called with, by position or by name."""
    return next(iter((*args, *kwargs.values())))


def enhancer_output(x: jax.Array) -> jax.Array:
    """Output map of the enhancers: 0.58 tanh(x) + 0.5, float32 in [-0.08, 1.08]."""
    return 0.58 * jnp.tanh(x.astype(jnp.float32)) + 0.5


class Conv(nn.Module):
    """Convolution with zero padding that keeps the size (divided by the stride, rounded up).

    Call with `[N, H, W, C]`.

    Attributes:
        features: output channels.
        kernel: height and width.
        stride: of both directions.
        dilation: of both directions.
        before_norm: the output goes straight into an instance norm, which would subtract the bias
            again, so the bias is not added. Its gradient is then exactly 0 instead of rounding
            noise, which Adam would scale up to full steps that differ from machine to machine.
        kernel_init: initial kernel; by default a truncated normal of deviation 0.01.
        bias_init: initial bias; by default 0.01.
        precision: of the products, one of `PRECISIONS`.

    Raises:
        ValueError: another precision.
    """

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    dilation: int = 1
    before_norm: bool = False
    kernel_init: Initializer = _KERNEL_INIT
    bias_init: Initializer = _BIAS_INIT
    precision: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}"
            )
        dtype, precision = PRECISIONS[self.precision]
        shape = (*self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=dtype)
        y = convolve(x, kernel, stride=self.stride, dilation=self.dilation, precision=precision)
        if self.before_norm:
            return y
        # Added in the bias's type, so that its gradient is summed in that type too.
        return (y.astype(bias.dtype) + bias[None, None, None]).astype(y.dtype)


class Sum(nn.Module):
    """The sum of two branches, which code that runs a network in parts can keep and supply.

    Call with two arrays of the same shape, `[N, H, W, C]`; returns their sum.
    """

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return x + y


class Reflection(nn.Module):
    """Continuation of images beyond their edges by reflection, which repeats no edge.

    Call with `[N, H, W, C]`, H and W larger than the border; returns
    `[N, H + 2 border, W + 2 border, C]`. A network continues its images by as many pixels as an
    output pixel depends on in each direction, so that no convolution's zeros reach its output.

    Attributes:
        border: pixels on each side.
    """

    border: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return reflect(x, self.border)


def inside(x: jax.Array, border: int) -> jax.Array:
    """`[N, H, W, C]` without `border` pixels on each side."""
    _, height, width, _ = x.shape
    return x[:, border : height - border, border : width - border]


class Statistics(nn.Module):
    """Mean and biased variance over height and width, per image and channel.

    Call with `[N, H, W, C]`; returns both as float32 `[N, 1, 1, C]`. Everything that a network
    computes from a whole image goes through this module, which has no parameters: code that runs a
    network on a part of an image can supply the statistics of the whole image in its place.

    Attributes:
        border: pixels on each side to leave out, because they continue the image.
    """

    border: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return spatial_moments(x, self.border)


class InstanceNorm(nn.Module):
    """Normalization over height and width per image and channel: scale * x_hat + shift.

    Call with `[N, H, W, C]`. Statistics are float32 whatever the input's type; biased variance,
    1e-3 inside the root.

    Attributes:
        epsilon: added to the variance.
        border: pixels on each side that the statistics leave out, because they continue the image.
    """

    epsilon: float = 1e-3
    border: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))[None, None, None]
        shift = self.param("shift", nn.initializers.zeros, (channels,))[None, None, None]
        mean, variance = Statistics(self.border, name="statistics")(x)
        centered = x.astype(jnp.float32) - mean
        y = centered * (scale * lax.rsqrt(variance + self.epsilon)) + shift
        return y.astype(x.dtype)
