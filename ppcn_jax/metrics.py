"""Image quality metrics, one value per image: PSNR, SSIM and MS-SSIM; and luma to compute them on.

Images are float `[N, H, W, C]`; `data_range` is the range of pixel values. Higher is better.
"""

import jax
import jax.numpy as jnp

from ppcn_jax import losses
from ppcn_jax.losses.arguments import as_float, as_float_pair
from ppcn_jax.losses.ssim import multi_scale_similarity
from ppcn_jax.ops.luma import STUDIO_BLACK as LUMA_BLACK
from ppcn_jax.ops.luma import STUDIO_WEIGHTS as LUMA_WEIGHTS
from ppcn_jax.ops.luma import weighted_channels


def psnr_of_mse(mse: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """PSNR for a given mean squared error, in dB; infinite for 0.

    Args:
        mse: mean squared error, >= 0.
        data_range: range of pixel values.

    Returns:
        PSNR in dB, in the shape of `mse`.
    """
    return 10 * jnp.log10(data_range**2 / mse)


def psnr(prediction: jax.Array, target: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Peak signal-to-noise ratio, 10 log10(L^2 / mean (y - t)^2).

    Args:
        prediction: y, float `[N, H, W, C]`. Clip it to the valid range first to follow the
            paper's protocol.
        target: t, the same shape.
        data_range: L.

    Returns:
        float32 `[N]` in dB; infinite for identical images.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        Table 3, which reports the mean over images.
    """
    prediction, target = as_float_pair(prediction, target)
    mse = jnp.mean(jnp.square(prediction - target), axis=(1, 2, 3))
    return psnr_of_mse(mse, data_range=data_range)


def ssim(prediction: jax.Array, target: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Structural similarity at one scale: an 11 px Gaussian window with sigma 1.5 px.

    Args:
        prediction: y, float `[N, H, W, C]`, sides of at least 11 px.
        target: t, the same shape.
        data_range: range of pixel values.

    Returns:
        float32 `[N]` in [-1, 1], the mean over fully covered positions and channels; 1 means
        identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, unequal shapes, or a side below 11 px.

    Reference:
        Table 1; Wang et al., Image Quality Assessment, IEEE TIP 2004.
    """
    return 1 - losses.ssim(prediction, target, data_range=data_range)


def luma(images: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Y of RGB images, ITU-R BT.601 in studio range, not rounded.

    Args:
        images: RGB, float `[N, H, W, 3]` in [0, L]; or Y, `[N, H, W, 1]`, returned unchanged.
        data_range: L.

    Returns:
        float32 `[N, H, W, 1]`, for RGB in [16 L / 255, 235 L / 255].

    Raises:
        TypeError: images are not floating.
        ValueError: a rank other than 4, or a number of channels other than 1 and 3.

    Reference:
        Table 1, which scores super-resolution on Y.
    """
    images = as_float("images", images, 4)
    if images.shape[3] == 1:
        return images
    if images.shape[3] != 3:
        raise ValueError(f"images must have 1 or 3 channels, got shape {images.shape}")
    return weighted_channels(images, LUMA_WEIGHTS, LUMA_BLACK * data_range)


def ms_ssim(prediction: jax.Array, target: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Multi-scale structural similarity as the PIRM challenge computes it.

    prod_{s<5} mean(cs_s)^w_s * mean(ssim_5)^w_5. Between scales, images are halved by the mean of
    2x2 pixels, with reflection padding. On images smaller than the window, the window and its
    sigma shrink, so that small images have a value as well. A negative mean at a scale counts
    as 0.

    Args:
        prediction: y, float `[N, H, W, C]`; the paper's protocol does not clip it.
        target: t, the same shape.
        data_range: range of pixel values.

    Returns:
        float32 `[N]` in [0, 1]; 1 means identical.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        Table 3; Wang et al., Multi-scale Structural Similarity, Asilomar 2003.
    """
    return multi_scale_similarity(prediction, target, data_range=data_range, floor=0.0)
