"""Color loss: the difference of blurred images."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.losses.arguments import as_float_pair, as_mask, selected
from ppcn_jax.ops.compiled import compiled
from ppcn_jax.ops.gaussian import filter_channels

BLUR_SIZE = 21


def paper_blur() -> np.ndarray:
    """The paper's blur as a separable kernel: a Gaussian of variance 3 px^2, amplitude A = 0.053.

    Returns:
        float64 `[21]`. G is its outer product with itself, which sums to 0.999 (A is rounded).

    Reference:
        Eq. 9, which prints sigma = 3 without a square.

    Example:
        >>> kernel = losses.paper_blur()
        >>> kernel.shape, round(float(kernel.sum()), 4)
        ((21,), 0.9995)
    """
    offsets = np.arange(BLUR_SIZE) - BLUR_SIZE // 2
    return math.sqrt(0.053) * np.exp(-(offsets**2) / (2 * 3.0))


def released_blur() -> np.ndarray:
    """The released code's blur as a separable kernel, as wide as a Gaussian of 4.71 px.

    The 2-D kernel is the normalized square root of g g^T, where g holds the differences of the
    normal CDF on 21 cells over +-3 standard deviations. The square root widens it.

    Returns:
        float64 `[21]` with sum 1. The 2-D kernel is its outer product with itself.

    Reference:
        The released training code, which follows DPED (Ignatov et al., ICCV 2017).

    Example:
        >>> kernel = losses.released_blur()
        >>> kernel.shape, round(float(kernel.sum()), 4)
        ((21,), 1.0)
    """
    half_cell = 7 / (2 * BLUR_SIZE)
    edges = np.linspace(-3 - half_cell, 3 + half_cell, BLUR_SIZE + 1)
    cdf = np.array([0.5 * (1 + math.erf(edge / math.sqrt(2))) for edge in edges])
    kernel = np.sqrt(np.diff(cdf))
    return kernel / kernel.sum()


@compiled
def color(
    prediction: jax.Array,
    target: jax.Array,
    *,
    kernel: Literal["paper", "released"] | np.ndarray | jax.Array = "paper",
    where: jax.Array | None = None,
) -> jax.Array:
    """Squared distance of blurred images: ||B(y) - B(t)||_2^2, a sum over pixels and channels.

    B blurs every channel with zero padding.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        kernel: "paper" (see `paper_blur`), "released" (see `released_blur`), a separable kernel
            `[k]`, or a 2-D kernel `[kh, kw]`.
        where: bool, broadcastable to the images: the pixels that count, None for all. The others
            are as beyond the edges of the images.

    Returns:
        float32 `[N]`, >= 0; 0 means equal colors. Grows with the number of pixels. The released
        code's value is half of this: halve the weight to reproduce it.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, an unknown kernel, an empty one or one of
            another rank, or `where` does not broadcast.

    Reference:
        Eqs. 9 and 10. They blur the input image, which does not depend on the enhancer; here the
        enhanced image is blurred instead.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> losses.color(y, t)
        Array([6.067547, 6.067547], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    # The blur is linear: B(y) - B(t) = B(y - t).
    mask = as_mask(where, prediction)
    difference = selected(prediction - target, mask)
    blurred = filter_channels(difference, _resolve(kernel), same=True)
    return jnp.sum(jnp.square(selected(blurred, mask)), axis=(1, 2, 3))


def _resolve(kernel: str | np.ndarray | jax.Array) -> np.ndarray | jax.Array:
    if isinstance(kernel, str):
        named = {"paper": paper_blur, "released": released_blur}
        if kernel not in named:
            raise ValueError(f"kernel must be one of {sorted(named)} or an array, got {kernel!r}")
        return named[kernel]()
    if np.ndim(kernel) not in (1, 2) or not np.size(kernel):
        raise ValueError(f"kernel must have shape [k] or [kh, kw], got {np.shape(kernel)}")
    return kernel
