"""The networks that the paper compares with: SRCNN, VDSR and DPED's residual network.

All map images to images of the same size; for super-resolution the input is the low-resolution
image, enlarged bicubically.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ppcn_jax.models.layers import Conv, InstanceNorm, check_images, enhancer_output
from ppcn_jax.ops import luma


class Srcnn(nn.Module):
    """SRCNN 9-5-5: three convolutions of 64, 32 and 3 channels on RGB.

    Call with float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns float32 of the same
    shape in [-0.08, 1.08], unclipped.

    Attributes:
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; the output stays
            float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another precision.

    Reference:
        Dong et al., "Image super-resolution using deep convolutional networks", TPAMI 2016; with
        the output map of the PIRM 2018 challenge's baseline, whose last bias is one number.
    """

    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images)
        conv = functools.partial(Conv, precision=self.precision)
        x = nn.relu(conv(64, (9, 9), name="conv0")(images))
        x = nn.relu(conv(32, (5, 5), name="conv1")(x))
        return enhancer_output(conv(3, (5, 5), name="conv2")(x))


class Vdsr(nn.Module):
    """VDSR: twenty 3x3 convolutions that predict what is missing from the luma.

    Call with float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns float32 of the same
    shape, unclipped. The residual is added to all three channels, which changes Y and leaves Cb
    and Cr as they were.

    Attributes:
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; the sum stays
            float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another precision.

    Reference:
        Kim et al., "Accurate image super-resolution using very deep convolutional networks",
        CVPR 2016.
    """

    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images)
        images = images.astype(jnp.float32)
        x = luma.weighted_channels(images, luma.STUDIO_WEIGHTS, luma.STUDIO_BLACK)
        for index in range(19):
            x = nn.relu(Conv(64, (3, 3), precision=self.precision, name=f"conv{index}")(x))
        residual = Conv(1, (3, 3), precision=self.precision, name="conv19")(x)
        return images + luma.STUDIO_TO_FULL_RANGE * residual.astype(jnp.float32)


class DpedResnet(nn.Module):
    """DPED's enhancer: residual blocks with instance norm between two 9x9 convolutions.

    Call with float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns float32 of the same
    shape in [-0.08, 1.08], unclipped.

    Attributes:
        blocks: residual blocks of two convolutions; DPED's own network has 4.
        features: channels; DPED's own network has 64.
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; statistics and
            output stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another precision.

    Reference:
        Ignatov et al., "DSLR-quality photos on mobile devices with deep convolutional networks",
        ICCV 2017, Fig. 3.
    """

    blocks: int = 4
    features: int = 64
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images)
        conv = functools.partial(Conv, precision=self.precision)
        x = nn.relu(conv(self.features, (9, 9), name="conv0")(images))
        last = 2 * self.blocks
        for first in range(1, last, 2):
            y = x
            for index in (first, first + 1):
                y = conv(self.features, (3, 3), before_norm=True, name=f"conv{index}")(y)
                y = nn.relu(InstanceNorm(name=f"norm{index}")(y))
            x = x + y
        for index in (last + 1, last + 2):
            x = nn.relu(conv(self.features, (3, 3), name=f"conv{index}")(x))
        return enhancer_output(conv(3, (9, 9), name=f"conv{last + 3}")(x))
