"""Structural similarity as a loss, at one scale and at several."""

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.losses.arguments import (
    Number,
    as_float_pair,
    as_mask,
    check_known_sides,
    check_sides,
    flag,
    integer,
    mean_per_image,
    number,
    selected,
)
from ppcn_jax.ops.compiled import compiled
from ppcn_jax.ops.gaussian import filter_planes, gaussian_window

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first
SCALE_WINDOW, SCALE_SIGMA = 11, 1.5  # px
# The slope of a power is unbounded at 0: a scale below this similarity gets no gradient.
SIMILARITY_FLOOR = 1e-3


@compiled
def ssim(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    where: jax.Array | None = None,
) -> jax.Array:
    """Structural dissimilarity, 1 - SSIM(y, t), averaged over positions and channels.

    SSIM = (2 mu_y mu_t + C1) / (mu_y^2 + mu_t^2 + C1) * (2 s_yt + C2) / (s_y^2 + s_t^2 + C2)
    with Gaussian-weighted local moments, C1 = (k1 L)^2, C2 = (k2 L)^2.

    Args:
        prediction: y, float `[N, H, W, C]`, sides of at least `window` px.
        target: t, the same shape and range.
        data_range: L, the range of pixel values: 1 for [0, 1], 255 for [0, 255].
        window: side of the Gaussian window, px; only fully covered positions count.
        sigma: standard deviation of the window, px.
        k1: stabilizes the luminance quotient.
        k2: stabilizes the contrast quotient.
        where: bool, broadcastable to the images: the pixels that count, None for all. A position
            counts if all pixels of its window do; an image without any has the loss 0.

    Returns:
        float32 `[N]` in [0, 2]; 0 means identical. `metrics.ssim_map` has the value of each
        position.

    Raises:
        TypeError: an input is not floating, an option is not a number (`window`: an integer), or
            `where` is not bool.
        ValueError: a rank other than 4, unequal shapes, a side below `window`, an option of 0 or
            less, or `where` does not broadcast.

    Reference:
        Eqs. 4 and 5; Wang et al., Image Quality Assessment, IEEE TIP 2004.

    Example:
        >>> t = jnp.linspace(0, 1, 1536).reshape(2, 16, 16, 3)
        >>> losses.ssim(t**2, t)
        Array([0.58958703, 0.10949954], dtype=float32)
    """
    similarities, counts = similarity_map(
        prediction,
        target,
        data_range=data_range,
        window=window,
        sigma=sigma,
        k1=k1,
        k2=k2,
        where=where,
    )
    if counts is None:
        return 1 - jnp.mean(similarities, axis=(1, 2, 3))
    return mean_per_image(1 - similarities, counts)


def similarity_map(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: Number,
    window: int,
    sigma: Number,
    k1: Number,
    k2: Number,
    where: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """SSIM at every fully covered position, `[N, C, H-window+1, W-window+1]`.

    With a mask also the positions whose windows it selects completely, where the similarity of all
    others is 0. The arguments are those of `ssim`, and are checked.
    """
    prediction, target = as_float_pair(prediction, target)
    window = integer("window", window)
    check_sides("SSIM", prediction, window)
    mask = as_mask(where, prediction)
    luminance, contrast = _ssim_maps(
        selected(prediction, mask),
        selected(target, mask),
        data_range=data_range,
        window=window,
        sigma=sigma,
        k1=k1,
        k2=k2,
    )
    if mask is None:
        return luminance * contrast, None
    planes = jnp.moveaxis(mask, 3, 1).astype(prediction.dtype)
    # Sums of ones are exact.
    counts = filter_planes(planes, np.ones(window), same=False) == window**2
    return selected(luminance * contrast, counts), counts


@compiled
def ms_ssim(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    per_channel: bool = False,
) -> jax.Array:
    """Structural dissimilarity over five scales, 1 - MS-SSIM(y, t).

    Args:
        prediction: y, float `[N, H, W, C]`.
        target: t, the same shape.
        data_range: range of pixel values.
        per_channel: multiply the scales of each channel before the mean over channels; see
            `metrics.ms_ssim`.

    Returns:
        float32 `[N]` in [0, 1]; 0 means identical. The similarity of each scale is clipped from
        below at 0.001.

    Raises:
        TypeError: an input is not floating, `data_range` is not a number or `per_channel` not bool.
        ValueError: a rank other than 4, unequal shapes, a `data_range` of 0 or less, or sides that
            are symbolic in an export.

    Reference:
        Wang et al., Multi-scale Structural Similarity, Asilomar 2003, computed like the metric of
        Table 3. The paper does not use it as a loss.

    Example:
        >>> t = jnp.linspace(0, 1, 1536).reshape(2, 16, 16, 3)
        >>> losses.ms_ssim(t**2, t)
        Array([0.21461302, 0.06913803], dtype=float32)
    """
    return 1 - multi_scale_similarity(
        prediction,
        target,
        data_range=data_range,
        floor=SIMILARITY_FLOOR,
        per_channel=per_channel,
    )


def multi_scale_similarity(
    x: jax.Array, y: jax.Array, *, data_range: Number, floor: float, per_channel: bool
) -> jax.Array:
    """MS-SSIM of images `[N, H, W, C]`, with every scale's similarity clipped from below.

    Each scale contributes contrast and structure, the last one luminance as well. Images are
    halved between scales by the mean of 2x2 pixels, odd sides padded by repeating the last row
    or column. On images smaller than the window, the window and its deviation shrink. Means and
    clipping are over all channels together, or over each with `per_channel`.
    """
    x, y = as_float_pair(x, y)
    check_known_sides("MS-SSIM", x)
    axes = (2, 3) if flag("per_channel", per_channel) else (1, 2, 3)
    product = jnp.ones((), x.dtype)
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        window = min(SCALE_WINDOW, *x.shape[1:3])
        sigma = SCALE_SIGMA * window / SCALE_WINDOW
        luminance, contrast = _ssim_maps(x, y, data_range=data_range, window=window, sigma=sigma)
        if scale == len(SCALE_WEIGHTS):
            contrast = luminance * contrast
        product *= jnp.maximum(jnp.mean(contrast, axis=axes), floor) ** weight
        x, y = _halve(x), _halve(y)
    return jnp.mean(product, axis=1) if per_channel else product


def _ssim_maps(
    x: jax.Array,
    y: jax.Array,
    *,
    data_range: Number,
    window: int,
    sigma: Number,
    k1: Number = 0.01,
    k2: Number = 0.03,
) -> tuple[jax.Array, jax.Array]:
    """Luminance and contrast-structure (Eq. 5), each `[N, C, H-window+1, W-window+1]`."""
    data_range, sigma, k1, k2 = (
        number(name, value, x.dtype)
        for name, value in (("data_range", data_range), ("sigma", sigma), ("k1", k1), ("k2", k2))
    )
    kernel = gaussian_window(window, sigma)
    x, y = jnp.moveaxis(x, 3, 1), jnp.moveaxis(y, 3, 1)
    # Variances do not depend on a shift, but E[x^2] - E[x]^2 cancels less about the mean.
    shift_x, shift_y = (jax.lax.stop_gradient(jnp.mean(z, (2, 3), keepdims=True)) for z in (x, y))
    x, y = x - shift_x, y - shift_y

    # One by one: stacked planes would first be copied.
    mean_x, xx, xy, mean_y, yy = (
        filter_planes(planes, kernel, same=False) for planes in (x, x * x, x * y, y, y * y)
    )
    variances = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    means = mean_x + shift_x, mean_y + shift_y
    return similarity(*means, variances, covariance, data_range=data_range, k1=k1, k2=k2)


def similarity(
    mean_x: jax.Array,
    mean_y: jax.Array,
    variances: jax.Array,
    covariance: jax.Array,
    *,
    data_range: Number = 1.0,
    k1: Number = 0.01,
    k2: Number = 0.03,
) -> tuple[jax.Array, jax.Array]:
    """Luminance and contrast-structure (Eq. 5) from local moments; `variances` are both in sum."""
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * covariance + c2) / (variances + c2)
    return luminance, contrast


def _halve(x: jax.Array) -> jax.Array:
    # Without jnp.pad, and one axis after the other, for the sake of batches that are sharded.
    if x.shape[1] % 2:
        x = jnp.concatenate([x, x[:, -1:]], axis=1)
    if x.shape[2] % 2:
        x = jnp.concatenate([x, x[:, :, -1:]], axis=2)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width, channels)
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
