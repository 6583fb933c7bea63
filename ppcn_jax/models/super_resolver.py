"""The super-resolver: from a bicubic enlargement to a sharp image of the same size.

Almost all of its work is done at the size of the low-resolution image: strided convolutions go
down to it, and the last layer's channels are rearranged into pixels.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ppcn_jax.models.definitions import BLOCKS, RESIDUALS, SCALES, SLOPE, STRIDES
from ppcn_jax.models.layers import Conv, Statistics, check_images

# Initial values as the released code leaves them to Keras.
_KERNEL_INIT = nn.initializers.glorot_uniform()
_BIAS_INIT = nn.initializers.zeros


class SuperResolver(nn.Module):
    """The paper's super-resolution network: 236,560 parameters at scale 4.

    Call with the low-resolution images after bicubic enlargement, float `[N, H, W, 3]` in [0, 1],
    H and W >= 16; returns float32 of the same shape, about [0, 1], unclipped. Sides that are not
    multiples of the scale are padded inside, and the result is cropped.

    Attributes:
        scale: how much larger the images are than the low-resolution ones: 2, 3 or 4.
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; the mean and the
            output stay float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another scale or precision.

    Reference:
        Fig. 2. The mean color that is taken out and put back is in the released code only.
    """

    scale: int = 4
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images)
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, not {self.scale}")
        conv = functools.partial(
            Conv,
            kernel=(3, 3),
            kernel_init=_KERNEL_INIT,
            bias_init=_BIAS_INIT,
            precision=self.precision,
        )
        levels = 255 * images.astype(jnp.float32)
        mean, _ = Statistics(name="mean")(levels)
        first, second = STRIDES[self.scale]
        x = _lrelu(conv(32, stride=first, name="down0")(levels - mean))
        x = _lrelu(conv(64, stride=second, name="down1")(x))
        entry = x = conv(32, name="entry")(x)
        for block in range(BLOCKS):
            start = x
            for residual in range(RESIDUALS):
                name = f"block{block}_residual{residual}"
                y = _lrelu(conv(64, name=f"{name}_conv0")(x))
                x = conv(32, name=f"{name}_conv1")(y) + x
            x = conv(32, name=f"block{block}_transition")(x) + start
        x = conv(32, name="merge")(x) + entry
        x = conv(32, name="refine")(x)
        x = conv(3 * self.scale**2, name="pixels")(x)
        height, width = images.shape[1:3]
        x = DepthToSpace(self.scale, name="to_pixels")(x.astype(jnp.float32))[:, :height, :width]
        return (x + mean) / 255


class DepthToSpace(nn.Module):
    """`depth_to_space` as a layer without parameters, for which exports have another form.

    Attributes:
        scale: as for `depth_to_space`.
    """

    scale: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return depth_to_space(x, self.scale)


def depth_to_space(x: jax.Array, scale: int) -> jax.Array:
    """Rearrange channels into pixels, each color from channels of its own.

    Args:
        x: `[N, H, W, C * scale^2]`: color by color, and row by row of its scale x scale pixels.
        scale: side of the square that one position becomes, px.

    Returns:
        `[N, H * scale, W * scale, C]`.

    Reference:
        Shi et al., "Real-time single image and video super-resolution using an efficient
        sub-pixel convolutional neural network", CVPR 2016, Eq. 4.
    """
    n, height, width, depth = x.shape
    colors = depth // scale**2
    x = x.reshape(n, height, width, colors, scale, scale)
    x = x.transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, height * scale, width * scale, colors)


def _lrelu(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, SLOPE)
