"""Color difference: the error that remains when both images are blurred."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.losses.arguments import as_float_pair
from ppcn_jax.ops.gaussian import filter_channels

BLUR_SIZE = 21


def paper_blur() -> np.ndarray:
    """Taps of the paper's blur: a Gaussian of variance 3 px^2 with amplitude A = 0.053.

    Returns:
        float64 `[21]`; the kernel G is their outer product, which sums to 0.999 (A is rounded).

    Reference:
        Eq. 9, where sigma = 3 stands unsquared.
    """
    offsets = np.arange(BLUR_SIZE) - BLUR_SIZE // 2
    return math.sqrt(0.053) * np.exp(-(offsets**2) / (2 * 3.0))


def released_blur() -> np.ndarray:
    """Taps of the released code's blur, as wide as a Gaussian of 4.71 px.

    The kernel is the normalized square root of g g^T, with g the differences of the normal CDF
    on 21 cells over +-3 standard deviations; the root is what widens it.

    Returns:
        float64 `[21]`, summing to 1; the kernel is their outer product.

    Reference:
        The released training code, after DPED's (Ignatov et al., ICCV 2017).
    """
    half_cell = 7 / (2 * BLUR_SIZE)
    edges = np.linspace(-3 - half_cell, 3 + half_cell, BLUR_SIZE + 1)
    cdf = np.array([0.5 * (1 + math.erf(edge / math.sqrt(2))) for edge in edges])
    taps = np.sqrt(np.diff(cdf))
    return taps / taps.sum()


def color(
    prediction: jax.Array,
    target: jax.Array,
    *,
    kernel: Literal["paper", "released"] | np.ndarray | jax.Array = "paper",
) -> jax.Array:
    """Squared distance of blurred images: ||B(y) - B(t)||_2^2, a sum over pixels and channels.

    B blurs every channel with zero padding.

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape and range.
        kernel: "paper", "released" (see the functions of those names), taps `[k]` of a separable
            kernel, or a whole kernel `[kh, kw]`.

    Returns:
        float32 `[N]`, >= 0; 0 means equal colors. Grows with the number of pixels. The released
        code's value is half of this: give its weight a factor 1/2.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, unequal shapes, or an unknown or misshapen kernel.

    Reference:
        Eqs. 9 and 10, which name the blurred input; a loss on it has no gradient, so the
        enhanced image is blurred.
    """
    prediction, target = as_float_pair(prediction, target)
    # The blur is linear: one blur of the difference is B(y) - B(t).
    difference = filter_channels(prediction - target, _resolve(kernel), same=True)
    return jnp.sum(jnp.square(difference), axis=(1, 2, 3))


def _resolve(kernel) -> np.ndarray | jax.Array:
    if isinstance(kernel, str):
        named = {"paper": paper_blur, "released": released_blur}
        if kernel not in named:
            raise ValueError(f"kernel must be one of {sorted(named)} or an array, got {kernel!r}")
        return named[kernel]()
    if np.ndim(kernel) not in (1, 2):
        raise ValueError(f"kernel must be taps [k] or [kh, kw], got shape {np.shape(kernel)}")
    return kernel
