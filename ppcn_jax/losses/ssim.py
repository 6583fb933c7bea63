"""Structural similarity as a loss."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair
from ppcn_jax.ops.gaussian import filter_planes, gaussian_taps


def ssim(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> jax.Array:
    """Structural dissimilarity, 1 - SSIM(y, t), averaged over positions and channels.

    SSIM = (2 mu_y mu_t + C1) / (mu_y^2 + mu_t^2 + C1) * (2 s_yt + C2) / (s_y^2 + s_t^2 + C2)
    with Gaussian-weighted local moments, C1 = (k1 L)^2, C2 = (k2 L)^2.

    Args:
        prediction: y, float `[N, H, W, C]`, sides of at least `window` px.
        target: t, the same shape and range.
        data_range: L, the span of the values: 1 for [0, 1], 255 for grey levels.
        window: side of the Gaussian window, px; only fully covered positions count.
        sigma: its standard deviation, px.
        k1: stabilizes the luminance quotient.
        k2: stabilizes the contrast quotient.

    Returns:
        float32 `[N]` in [0, 2]; 0 means identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, unequal shapes, or a side below `window`.

    Reference:
        Eqs. 4 and 5; Wang et al., Image Quality Assessment, IEEE TIP 2004.
    """
    prediction, target = as_float_pair(prediction, target)
    if min(prediction.shape[1:3]) < window:
        raise ValueError(f"SSIM needs sides of at least {window} px, got {prediction.shape}")
    luminance, contrast = ssim_maps(
        prediction, target, data_range=data_range, window=window, sigma=sigma, k1=k1, k2=k2
    )
    return 1 - jnp.mean(luminance * contrast, axis=(1, 2, 3))


def ssim_maps(
    x: jax.Array,
    y: jax.Array,
    *,
    data_range: float,
    window: int,
    sigma: float,
    k1: float = 0.01,
    k2: float = 0.03,
) -> tuple[jax.Array, jax.Array]:
    """The two factors of SSIM at every fully covered position.

    Args:
        x: float `[N, H, W, C]`.
        y: the same shape.
        data_range: span of the values.
        window: side of the Gaussian window, px.
        sigma: its standard deviation, px.
        k1: stabilizes the luminance quotient.
        k2: stabilizes the contrast quotient.

    Returns:
        Luminance and contrast-structure, each `[N, C, H-window+1, W-window+1]`.

    Reference:
        Eq. 5.
    """
    taps = gaussian_taps(window, sigma)
    x, y = jnp.moveaxis(x, 3, 1), jnp.moveaxis(y, 3, 1)
    # Variances do not depend on a shift, but E[x^2] - E[x]^2 cancels less about the mean.
    shift_x, shift_y = (jax.lax.stop_gradient(jnp.mean(z, (2, 3), keepdims=True)) for z in (x, y))
    x, y = x - shift_x, y - shift_y

    def moments(*planes: jax.Array) -> jax.Array:
        return filter_planes(jnp.stack(planes), taps, same=False)

    # Apart, so that no gradient is computed of the target's own moments.
    mean_x, xx, xy = moments(x, x * x, x * y)
    mean_y, yy = moments(y, y * y)
    variances = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    mean_x, mean_y = mean_x + shift_x, mean_y + shift_y

    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * covariance + c2) / (variances + c2)
    return luminance, contrast
