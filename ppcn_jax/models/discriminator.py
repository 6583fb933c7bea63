"""The discriminator: is a grey picture a DSLR's or the enhancer's?"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ppcn_jax.models.layers import Conv, InstanceNorm, check_images
from ppcn_jax.ops.luma import TENSORFLOW_WEIGHTS, weighted_channels

# Features, kernel side, stride of the six convolutions.
STAGES = ((64, 9, 4), (128, 5, 2), (192, 3, 1), (192, 3, 1), (256, 3, 2), (256, 3, 1))


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
        dtype: compute type of the convolutions; statistics, dense layers and logits stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 1]`, or a side below 16 px.

    Reference:
        Fig. 4.
    """

    outputs: int = 1
    first_norm: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images, channels=1)
        x = images
        for index, (features, kernel, stride) in enumerate(STAGES):
            x = Conv(features, (kernel, kernel), stride, dtype=self.dtype, name=f"conv{index}")(x)
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
            name=name,
        )
