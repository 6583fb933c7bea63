"""Learned distances of images: LPIPS and DISTS, on features of several layers of VGG-16.

The features are those of `models.VggLayers`; parameters and learned weights are read from files by
`ppcn_jax.weights.learned`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair
from ppcn_jax.ops.compiled import compiled

# Keeps the direction of features finite, which are all 0 where no ReLU is active.
NORM_EPSILON = 1e-10
# Keeps the quotients of flat maps finite (the paper's c1 and c2, of the published code).
SIMILARITY_EPSILON = 1e-6

Pairs = list[tuple[jax.Array, jax.Array]]


@compiled
def lpips(
    prediction: Sequence[jax.Array],
    target: Sequence[jax.Array],
    *,
    weights: Sequence[jax.Array] | None = None,
) -> jax.Array:
    """Learned perceptual image patch similarity (LPIPS): differences of directions of features.

    LPIPS = sum_l mean_p sum_c w_lc (y_lpc / |y_lp| - t_lpc / |t_lp|)^2

    Args:
        prediction: features y_l of each layer l, float `[N, H_l, W_l, C_l]` each.
        target: features t_l, the same number and shapes.
        weights: w_l of each layer, float `[C_l]` each, 0 or more; None: all 1.

    Returns:
        float32 `[N]`, >= 0; 0 means features of the same directions. Published values are of RGB
        images in [0, 1], layers of `VggLayers()` and the weights of `load_lpips`.

    Raises:
        TypeError: features or weights are not floating, or weights are no sequence.
        ValueError: no layers, unequal numbers or shapes of them, or weights that do not fit.

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
        CVPR 2018, Eq. 1. The squares of the published code have the weights w, not w^2.

    Example:
        >>> y, t = jnp.ones((2, 4, 4, 2)), jnp.ones((2, 4, 4, 2)).at[..., 0].set(0)
        >>> losses.lpips([y], [t])
        Array([0.58578646, 0.58578646], dtype=float32)
    """
    pairs = _pairs(prediction, target)
    total = []
    for (y, t), w in zip(pairs, _weights("weights", weights, pairs), strict=True):
        square = jnp.square(_directions(y) - _directions(t))
        total.append(jnp.mean(jnp.sum(w[None, None, None] * square, axis=3), axis=(1, 2)))
    return sum(total[1:], total[0])


@compiled
def dists(
    prediction: Sequence[jax.Array],
    target: Sequence[jax.Array],
    *,
    alpha: Sequence[jax.Array] | None = None,
    beta: Sequence[jax.Array] | None = None,
) -> jax.Array:
    """Deep image structure and texture similarity (DISTS), as a distance.

    DISTS = 1 - sum_{l,c} (a_lc T_lc + b_lc S_lc) / sum_{l,c} (a_lc + b_lc)
    T = (2 m_y m_t + c) / (m_y^2 + m_t^2 + c),  S = (2 s_yt + c) / (s_y^2 + s_t^2 + c)

    m are means over positions of a channel, s^2 variances, s_yt covariances, c = 1e-6.

    Args:
        prediction: the image and its features of each layer l, float `[N, H_l, W_l, C_l]` each.
        target: the same of the target, the same number and shapes.
        alpha: a_l of each layer, the weights of texture, float `[C_l]` each; None: all 1.
        beta: b_l, those of structure, likewise.

    Returns:
        float32 `[N]`, >= 0, up to 2; 0 means identical. Published values are of RGB images in
        [0, 1] of at most 256 px, layers of `VggLayers("l2")` and the weights of `load_dists`.

    Raises:
        TypeError: features or weights are not floating, or weights are no sequence.
        ValueError: no layers, unequal numbers or shapes of them, or weights that do not fit.

    Reference:
        Ding et al., Image Quality Assessment: Unifying Structure and Texture Similarity, 2020,
        Eqs. 4 to 6.

    Example:
        >>> y, t = jnp.full((2, 4, 4, 1), 0.25), jnp.full((2, 4, 4, 1), 0.5)
        >>> losses.dists([y], [t])
        Array([0.0999997, 0.0999997], dtype=float32)
    """
    pairs = _pairs(prediction, target)
    weights = (_weights(name, w, pairs) for name, w in (("alpha", alpha), ("beta", beta)))
    total, norm = [], []
    for (y, t), a, b in zip(pairs, *weights, strict=True):
        mean_y, mean_t = (jnp.mean(x, axis=(1, 2)) for x in (y, t))
        y, t = y - mean_y[:, None, None], t - mean_t[:, None, None]
        variances = jnp.mean(jnp.square(y), axis=(1, 2)) + jnp.mean(jnp.square(t), axis=(1, 2))
        # 1 - T and 1 - S, whose quotients do not cancel for similar images.
        texture = jnp.square(mean_y - mean_t) / (
            jnp.square(mean_y) + jnp.square(mean_t) + SIMILARITY_EPSILON
        )
        structure = jnp.mean(jnp.square(y - t), axis=(1, 2)) / (variances + SIMILARITY_EPSILON)
        total.append(jnp.sum(a[None] * texture + b[None] * structure, axis=1))
        norm.append(jnp.sum(a + b))
    return sum(total[1:], total[0]) / sum(norm[1:], norm[0])


def _pairs(prediction: Sequence[jax.Array], target: Sequence[jax.Array]) -> Pairs:
    if len(prediction) != len(target) or not len(prediction):
        raise ValueError(
            "prediction and target must have the same number of layers, at least one: got "
            f"{len(prediction)} and {len(target)}"
        )
    return [as_float_pair(y, t) for y, t in zip(prediction, target, strict=True)]


def _weights(name: str, weights: Sequence[jax.Array] | None, pairs: Pairs) -> list[jax.Array]:
    """Check the weights of the channels of each layer, and convert them to the features' type."""
    if weights is None:
        return [jnp.ones(y.shape[3], y.dtype) for y, _ in pairs]
    if not isinstance(weights, list | tuple):
        raise TypeError(f"{name} must be a list of arrays, got {type(weights).__name__}")
    channels, shapes = [(y.shape[3],) for y, _ in pairs], [jnp.shape(w) for w in weights]
    if shapes != channels:
        raise ValueError(f"{name} must have the shapes {channels}, one of each layer, got {shapes}")
    for w in weights:
        if not jnp.issubdtype(jnp.result_type(w), jnp.floating):
            raise TypeError(f"{name} must be floating, got {jnp.result_type(w)}")
    return [jnp.asarray(w, y.dtype) for w, (y, _) in zip(weights, pairs, strict=True)]


def _directions(x: jax.Array) -> jax.Array:
    """Features `[N, H, W, C]` divided by their norms; features of zeros stay zeros."""
    energy = jnp.sum(jnp.square(x), axis=3, keepdims=True)
    # `where` differentiates both branches: the inner one avoids the infinite slope of sqrt at 0.
    positive = energy > 0
    norm = jnp.sqrt(jnp.where(positive, energy, 1))
    return jnp.where(positive, x / (norm + NORM_EPSILON), 0)
