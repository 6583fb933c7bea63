"""The two enhancers: the student, which people run, and the teacher, which supervises its training.

Both map a photo of any size to one of the same size:
stretched contrast -> convolutions with instance-normalized stages -> 0.58 tanh + 0.5.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ppcn_jax.models.definitions import CONTRAST, PADDINGS, SLOPE
from ppcn_jax.models.layers import (
    Conv,
    InstanceNorm,
    Reflection,
    Statistics,
    Sum,
    check_images,
    enhancer_output,
    inside,
)

# Pixels in each direction that an output pixel depends on, in both networks.
REACH = 10

Taps = tuple[jax.Array, jax.Array]


def stretch_contrast(images: jax.Array, mean: jax.Array) -> jax.Array:
    """Stretch contrast by 1.2 about the mean of each image and channel, unclipped.

    Args:
        images: float `[N, H, W, 3]` in [0, 1].
        mean: over height and width, float32 `[N, 1, 1, 3]`.

    Returns:
        float32 `[N, H, W, 3]`.

    Reference:
        The released networks; the paper's text does not mention it.
    """
    return CONTRAST * (images - mean) + mean


def lrelu(x: jax.Array) -> jax.Array:
    """Leaky ReLU of the enhancers, slope 0.05."""
    return nn.leaky_relu(x, SLOPE)


class Student(nn.Module):
    """The compact enhancer: 2,715 parameters, one-dimensional and dilated kernels.

    Call with float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns float32 of the same
    shape in [-0.08, 1.08], unclipped. With `taps=True` also returns its two attention maps,
    float32 `[N, H, W, 1]` each, the channel means of the stages that Eq. 12 compares.

    Attributes:
        padding: what convolutions see beyond the edges: "zeros" as in the paper, or "reflect", which
            continues the images by reflection and leaves the continuation out of all statistics.
            Parameters that were trained with one are of no use with the other.
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; statistics and
            output stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another padding or
            precision.

    Reference:
        Fig. 3, lower half.
    """

    padding: str = "zeros"
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, taps: bool = False) -> Any:
        check_images(images)
        conv = functools.partial(Conv, precision=self.precision)
        images, border = _continued(images, self.padding)
        norm = functools.partial(InstanceNorm, border=border)
        mean, _ = Statistics(border, name="contrast")(images)
        x = stretch_contrast(images, mean)
        x = lrelu(conv(8, (1, 7), name="conv0")(x))
        c1 = lrelu(conv(8, (7, 1), name="conv1")(x))
        x = conv(16, (1, 7), dilation=2, before_norm=True, name="conv2")(c1)
        x = lrelu(norm(name="norm2")(x))
        x = conv(8, (7, 1), dilation=2, before_norm=True, name="conv3")(x)
        c3 = lrelu(norm(name="norm3")(x)) + c1
        x = conv(3, (3, 3), name="conv4")(c3)
        return _output(x, (c1, c3), taps, border)


class Teacher(nn.Module):
    """The larger enhancer: 21,843 parameters, two residual stages joined by a 1x1 convolution.

    Call with float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns float32 of the same
    shape in [-0.08, 1.08], unclipped. With `taps=True` also returns its two attention maps,
    float32 `[N, H, W, 1]` each, the channel means of the stages that Eq. 12 compares.

    Attributes:
        padding: what convolutions see beyond the edges: "zeros" as in the paper, or "reflect", which
            continues the images by reflection and leaves the continuation out of all statistics.
            Parameters that were trained with one are of no use with the other.
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; statistics and
            output stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another padding or
            precision.

    Reference:
        Fig. 3, upper half.
    """

    padding: str = "zeros"
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, taps: bool = False) -> Any:
        check_images(images)
        conv = functools.partial(Conv, precision=self.precision)
        images, border = _continued(images, self.padding)
        norm = functools.partial(InstanceNorm, border=border)
        mean, _ = Statistics(border, name="contrast")(images)
        x = stretch_contrast(images, mean)
        x = lrelu(conv(16, (1, 7), name="conv0")(x))
        c1 = lrelu(conv(16, (7, 1), name="conv1")(x))
        x = conv(32, (3, 3), before_norm=True, name="conv2")(c1)
        x = lrelu(norm(name="norm2")(x))
        x = conv(16, (3, 3), before_norm=True, name="conv3")(x)
        c3 = Sum(name="sum3")(norm(name="norm3")(x), c1)
        x = conv(32, (3, 3), dilation=2, before_norm=True, name="conv4")(c3)
        x = lrelu(norm(name="norm4")(x))
        x = conv(16, (3, 3), dilation=2, before_norm=True, name="conv5")(x)
        c5 = Sum(name="sum5")(norm(name="norm5")(x), c3)
        c6 = lrelu(conv(16, (1, 1), name="conv6")(jnp.concatenate([c3, c5], axis=-1)))
        x = conv(3, (3, 3), name="conv7")(c6)
        return _output(x, (c1, c6), taps, border)


def _continued(images: jax.Array, padding: str) -> tuple[jax.Array, int]:
    """The images that the convolutions see, and how many pixels they are continued by."""
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, not {padding!r}")
    if padding == "zeros":
        return images, 0
    return Reflection(REACH, name="reflection")(images), REACH


def _output(x: jax.Array, stages: Taps, taps: bool, border: int) -> Any:
    images = enhancer_output(inside(x, border))
    if not taps:
        return images
    first, second = (_attention(inside(stage, border)) for stage in stages)
    return images, (first, second)


def _attention(stage: jax.Array) -> jax.Array:
    return jnp.mean(stage.astype(jnp.float32), axis=-1, keepdims=True)
