"""Discriminators: is a grey picture, or a patch of it, a DSLR's or the enhancer's?"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.models.layers import Conv, InstanceNorm, check_images
from ppcn_jax.ops.luma import TENSORFLOW_WEIGHTS, weighted_channels

# Features, kernel side, stride of the six convolutions.
STAGES = ((64, 9, 4), (128, 5, 2), (192, 3, 1), (192, 3, 1), (256, 3, 2), (256, 3, 1))
# Features and stride of the convolutions of PatchGAN before its logits.
PATCH_STAGES = ((64, 2), (128, 2), (256, 2), (512, 1))


def grayscale(images: jax.Array) -> jax.Array:
    """Grey version of color images, 0.2989 R + 0.587 G + 0.114 B.

    Args:
        images: float `[N, H, W, 3]`.

    Returns:
        `[N, H, W, 1]` of the same type.

    Reference:
        Section 3.2, "Texture loss".
    """
    return weighted_channels(images, TENSORFLOW_WEIGHTS)


class Discriminator(nn.Module):
    """Six strided convolutions (leaky ReLU, then instance norm) and two dense layers.

    Call with grey float images `[N, H, W, 1]` in [0, 1], H and W >= 16; returns float32 logits
    `[N, outputs]`. The dense layer binds its parameters to one image size.

    Attributes:
        outputs: 1 for the sigmoid head of the paper, 2 for the softmax head of the released code
            (class 0 is real).
        first_norm: instance norm after the first convolution too, as the figure draws it; the
            released code has none there.
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; statistics, dense
            layers and logits stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 1]`, a side below 16 px, or another precision.

    Reference:
        Fig. 4.
    """

    outputs: int = 1
    first_norm: bool = True
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images, channels=1)
        x = images
        for index, (features, kernel, stride) in enumerate(STAGES):
            x = Conv(
                features, (kernel, kernel), stride, precision=self.precision, name=f"conv{index}"
            )(x)
            x = nn.leaky_relu(x, 0.2)
            if index or self.first_norm:
                x = InstanceNorm(name=f"norm{index}")(x)
        x = x.astype(jnp.float32).reshape(x.shape[0], -1)
        x = nn.leaky_relu(self._dense(1024, "dense")(x), 0.2)
        return self._dense(self.outputs, "logits")(x)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(
            features,
            kernel_init=nn.initializers.truncated_normal(0.01),
            bias_init=nn.initializers.constant(0.01),
            precision=lax.Precision.HIGHEST,
            name=name,
        )


class PatchDiscriminator(nn.Module):
    """PatchGAN: convolutions of 4 x 4 that classify overlapping patches of 70 x 70 px.

    Call with grey float images `[N, H, W, 1]` in [0, 1], H and W >= 16; returns float32 logits
    `[N, ceil(H/8), ceil(W/8), 1]`. No parameter depends on the size of the images.

    Attributes:
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; statistics and
            logits stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 1]`, a side below 16 px, or another precision.

    Reference:
        Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017,
        appendix 6.1.2, not conditioned on the input; instance norm as in Zhu et al., CycleGAN,
        ICCV 2017. Zeros beyond the edges keep the size of the last two maps, which lose a pixel
        there.
    """

    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images, channels=1)
        x = images
        for index, (features, stride) in enumerate(PATCH_STAGES):
            x = self._conv(
                features, stride, f"conv{index}", self.precision, before_norm=bool(index)
            )(x)
            if index:
                x = InstanceNorm(name=f"norm{index}")(x)
            x = nn.leaky_relu(x, 0.2)
        return self._conv(1, 1, "logits", "float32")(x.astype(jnp.float32))

    def _conv(
        self, features: int, stride: int, name: str, precision: str, *, before_norm: bool = False
    ) -> Conv:
        return Conv(
            features,
            (4, 4),
            stride,
            before_norm=before_norm,
            kernel_init=nn.initializers.normal(0.02),
            bias_init=nn.initializers.zeros,
            precision=precision,
            name=name,
        )
