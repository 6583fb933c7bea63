"""VGG-16 and VGG-19: features of one layer for the contextual loss, of several for LPIPS and DISTS."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.models.layers import Conv, check_images

# Convolutions of blocks 1 to 4, each block ending at conv4_2 at the latest; features per block.
_CONVOLUTIONS = {16: (2, 2, 3, 2), 19: (2, 2, 4, 2)}
# Convolutions of all blocks of VGG-16.
_COMPLETE = (2, 2, 3, 3, 3)
_FEATURES = (64, 128, 256, 512, 512)
POOLINGS = ("max", "l2")


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
    return _shapes(_CONVOLUTIONS[depth])


def complete_kernel_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Names of all convolutions of VGG-16, in order, and the shapes of their kernels."""
    return _shapes(_COMPLETE)


def _shapes(counts: tuple[int, ...]) -> dict[str, tuple[int, int, int, int]]:
    shapes, inputs = {}, 3
    for block, (count, outputs) in enumerate(zip(counts, _FEATURES, strict=False), 1):
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
        depth: 19 (the paper's) or 16; `load_vgg` returns that of its weights.
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; features are
            float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another depth or precision.

    Reference:
        Eq. 1; Simonyan and Zisserman, ICLR 2015, Table 1.
    """

    depth: int = 19
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        check_images(images)
        x = _standardize(self, images)
        for name, shape in kernel_shapes(self.depth).items():
            if name != "conv1_1":
                x = nn.relu(x)
                if name.endswith("_1"):
                    x = halve(x)
            x = Conv(shape[-1], shape[:2], precision=self.precision, name=name)(x)
        return x.astype(jnp.float32)


class VggLayers(nn.Module):
    """Features of five layers of VGG-16, after their ReLU, for LPIPS and DISTS.

    Call with RGB float images `[N, H, W, 3]` in [0, 1], H and W >= 16; returns a tuple of float32
    maps: relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3, with 64, 128, 256, 512 and 512 channels,
    each of half the height and width of the one before.

    Attributes:
        pooling: "max" (LPIPS; odd sides are rounded down) or "l2" (DISTS; they are rounded up, and
            the images themselves are the first map).
        precision: of the convolutions, "float32", "tensorfloat32" or "bfloat16"; the maps are
            float32.

    Raises:
        TypeError: images are not floating.
        ValueError: not `[N, H, W, 3]`, a side below 16 px, or another pooling or precision.

    Reference:
        Simonyan and Zisserman, ICLR 2015, Table 1, column D; Zhang et al., The Unreasonable
        Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018; Ding et al., Image Quality
        Assessment: Unifying Structure and Texture Similarity, 2020, section 3.1.
    """

    pooling: str = "max"
    precision: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, ...]:
        check_images(images)
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be 'max' or 'l2', got {self.pooling!r}")
        x = _standardize(self, images)
        maps = [images.astype(jnp.float32)] if self.pooling == "l2" else []
        for name, shape in complete_kernel_shapes().items():
            if name.endswith("_1") and name != "conv1_1":
                maps.append(x.astype(jnp.float32))
                if self.pooling == "l2":
                    x = l2_pool(x)
                else:
                    x = halve(x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2])
            x = nn.relu(Conv(shape[-1], shape[:2], precision=self.precision, name=name)(x))
        return *maps, x.astype(jnp.float32)


def _standardize(module: nn.Module, images: jax.Array) -> jax.Array:
    """Take images in [0, 1] to (255 x - mean) / std, two parameters of the module."""
    mean = module.param("mean", nn.initializers.zeros, (3,))
    std = module.param("std", nn.initializers.ones, (3,))
    return (images.astype(jnp.float32) * 255 - mean[None, None, None]) / std[None, None, None]


def l2_pool(x: jax.Array) -> jax.Array:
    """Root of blurred squares at every second position, with zeros beyond the edges.

    The blur is [1, 2, 1] / 4 along both sides.

    Args:
        x: `[N, H, W, C]`.

    Returns:
        `[N, ceil(H/2), ceil(W/2), C]`, of the same type.

    Reference:
        Ding et al., Image Quality Assessment: Unifying Structure and Texture Similarity, 2020,
        Eq. 3, with the constant of the published code.
    """
    square = jnp.square(x.astype(jnp.float32))
    for axis in (1, 2):
        side = x.shape[axis]
        zero = jnp.zeros_like(lax.slice_in_dim(square, 0, 1, axis=axis))
        padded = jnp.concatenate([zero, square, zero], axis=axis)
        a, b, c = (lax.slice_in_dim(padded, k, k + side, 2, axis) for k in range(3))
        square = (a + 2 * b + c) / 4
    # The constant keeps the slope at 0 finite.
    return jnp.sqrt(square + 1e-12).astype(x.dtype)


def halve(x: jax.Array) -> jax.Array:
    """Maxima of blocks of 2x2.

    TPUs pool. Elsewhere neighbors are compared, whose gradient is one more pass over the map: on
    processors that of a pooling operation is a scatter, as slow as a convolution. Values and gradients
    are the same; for a TPU, comparing would move the map three times as often (docs/pods.md).

    Args:
        x: `[N, H, W, C]`; odd sides count as one longer.

    Returns:
        `[N, ceil(H/2), ceil(W/2), C]`. Of equal maxima the first has the gradient.
    """
    return lax.platform_dependent(x, tpu=_pool, default=_compare)


def _pool(x: jax.Array) -> jax.Array:
    odd = [(0, side % 2) for side in x.shape[1:3]]
    return nn.max_pool(x, (2, 2), (2, 2), padding=odd)


def _compare(x: jax.Array) -> jax.Array:
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
