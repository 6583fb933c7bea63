"""VGG-16 and VGG-19 up to conv4_2: the features that the contextual loss compares."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ppcn_jax.models.layers import Conv, check_images

# Convolutions of blocks 1 to 4, each block ending at conv4_2 at the latest; features per block.
_CONVOLUTIONS = {16: (2, 2, 3, 2), 19: (2, 2, 4, 2)}
_FEATURES = (64, 128, 256, 512)


def kernel_shapes(depth: int) -> dict[str, tuple[int, int, int, int]]:
    """Names of the convolutions up to conv4_2, in order, and the shapes of their kernels.

    Args:
        depth: 16 or 19.

    Returns:
        `{"conv1_1": (3, 3, 3, 64), ...}`: height, width, inputs, outputs.

    Raises:
        ValueError: another depth.

    Reference:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
        recognition", ICLR 2015, Table 1 (columns D and E).
    """
    if depth not in _CONVOLUTIONS:
        raise ValueError(f"VGG's depth must be 16 or 19, got {depth}")
    shapes, inputs = {}, 3
    for block, (count, outputs) in enumerate(zip(_CONVOLUTIONS[depth], _FEATURES, strict=True), 1):
        for index in range(1, count + 1):
            shapes[f"conv{block}_{index}"] = (3, 3, inputs, outputs)
            inputs = outputs
    return shapes


class Vgg(nn.Module):
    """Features conv4_2 before their ReLU.

    Call with RGB float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns float32
    `[N, ceil(H/8), ceil(W/8), 512]`. Images are first taken to (255 x - mean) / std; mean and std
    are parameters because every published set of weights has its own.

    Attributes:
        depth: 19 (the paper's) or 16.
        dtype: compute type of the convolutions; None means float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another depth.

    Reference:
        Eq. 1; Simonyan and Zisserman, ICLR 2015, Table 1.
    """

    depth: int = 19
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images)
        mean = self.param("mean", nn.initializers.zeros, (3,))
        std = self.param("std", nn.initializers.ones, (3,))
        x = (images.astype(jnp.float32) * 255 - mean[None, None, None]) / std[None, None, None]
        for name, shape in kernel_shapes(self.depth).items():
            if name != "conv1_1":
                x = nn.relu(x)
                if name.endswith("_1"):
                    x = halve(x)
            x = Conv(shape[-1], shape[:2], dtype=self.dtype, name=name)(x)
        return x.astype(jnp.float32)


def halve(x: jax.Array) -> jax.Array:
    """Maxima of blocks of 2x2.

    By comparing neighbors, whose gradient is one more pass over the map: on processors that of a
    pooling operation is a scatter, as slow as a convolution.

    Args:
        x: `[N, H, W, C]`; odd sides count as one longer.

    Returns:
        `[N, ceil(H/2), ceil(W/2), C]`. Of equal maxima the first has the gradient.
    """
    odd = [(0, side % 2) for side in x.shape[1:3]]
    # Exact, and the gradient in bfloat16 would take a processor sixteen times as long.
    dtype, x = x.dtype, x.astype(jnp.float32)
    x = jnp.pad(x, ((0, 0), *odd, (0, 0)), constant_values=-jnp.inf)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    upper, lower = (_larger(x[:, :, row, :, 0], x[:, :, row, :, 1]) for row in range(2))
    return _larger(upper, lower).astype(dtype)


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    # Selected, because `maximum` halves the gradient between equals, and passing on NaN as it does.
    return jnp.where((a >= b) | jnp.isnan(a), a, b)
