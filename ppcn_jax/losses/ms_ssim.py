"""Multi-scale structural similarity as a loss."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair
from ppcn_jax.losses.ssim import ssim_maps

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
WINDOW, SIGMA = 11, 1.5  # px
# Below it a scale's similarity teaches nothing: its power has no bounded slope at 0.
_FLOOR = 1e-3


def ms_ssim(prediction: jax.Array, target: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Structural dissimilarity over five scales, 1 - MS-SSIM(y, t).

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape.
        data_range: span of the values.

    Returns:
        float32 `[N]` in [0, 1]; 0 means identical. Where a scale is less similar than 0.001 it
        counts as that.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        Wang et al., Multi-scale Structural Similarity, Asilomar 2003, in the form of Table 3's
        metric; as a loss it is not in the paper.
    """
    similarities = scale_similarities(prediction, target, data_range=data_range)
    product = jnp.ones(similarities[0].shape, similarities[0].dtype)
    for similarity, weight in zip(similarities, WEIGHTS, strict=True):
        product *= jnp.maximum(similarity, _FLOOR) ** weight
    return 1 - product


def scale_similarities(x: jax.Array, y: jax.Array, *, data_range: float) -> list[jax.Array]:
    """What MS-SSIM multiplies: contrast and structure of each scale, with luminance at the last.

    Between scales a 2x2 mean with reflection at the border and every second pixel. The window
    shrinks with the image, its deviation alike, so small images have values too.

    Args:
        x: float `[N, H, W, C]`.
        y: the same shape.
        data_range: span of the values.

    Returns:
        For each scale the means over positions and channels, float32 `[N]` in [-1, 1].

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.
    """
    x, y = as_float_pair(x, y)
    similarities = []
    for scale in range(len(WEIGHTS)):
        window = min(WINDOW, *x.shape[1:3])
        sigma = SIGMA * window / WINDOW
        luminance, contrast = ssim_maps(x, y, data_range=data_range, window=window, sigma=sigma)
        last = scale == len(WEIGHTS) - 1
        similarities.append(jnp.mean(luminance * contrast if last else contrast, axis=(1, 2, 3)))
        x, y = _halve(x), _halve(y)
    return similarities


def _halve(x: jax.Array) -> jax.Array:
    # Reflection about the border's edge repeats the last row; only odd sides need it.
    x = jnp.pad(x, [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)], mode="edge")
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
