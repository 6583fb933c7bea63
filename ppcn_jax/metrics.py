"""Image quality metrics, one value per image: PSNR, SSIM and MS-SSIM; and luma to compute them on.

Images are float `[N, H, W, C]`; `data_range` is the range of pixel values. Higher is better.

Examples need `import jax.numpy as jnp` and `from ppcn_jax import metrics`.
"""

import jax
import jax.numpy as jnp

from ppcn_jax import losses
from ppcn_jax.losses.arguments import (
    as_float,
    as_float_pair,
    as_mask,
    mean_per_image,
    number,
    selected,
)
from ppcn_jax.losses.ssim import multi_scale_similarity, similarity_map
from ppcn_jax.ops.compiled import compiled
from ppcn_jax.ops.luma import STUDIO_BLACK as LUMA_BLACK
from ppcn_jax.ops.luma import STUDIO_WEIGHTS as LUMA_WEIGHTS
from ppcn_jax.ops.luma import weighted_channels


def psnr_of_mse(mse: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """PSNR for a given mean squared error, in dB; infinite for 0.

    Args:
        mse: mean squared error, >= 0.
        data_range: range of pixel values.

    Returns:
        PSNR in dB, float32, in the shape of `mse`.

    Raises:
        TypeError: `data_range` is not a number.
        ValueError: a `data_range` of 0 or less.

    Example:
        >>> mse = jnp.array([0.01, 0.0001])
        >>> metrics.psnr_of_mse(mse)
        Array([20.000002, 40.000004], dtype=float32)
    """
    # An array, because a Python number would be a constant of the program.
    return _decibel(jnp.asarray(mse), data_range)


@compiled
def _decibel(mse: jax.Array, data_range: float) -> jax.Array:
    mse = mse if mse.dtype == jnp.float64 else mse.astype(jnp.float32)
    return 10 * jnp.log10(number("data_range", data_range, mse.dtype) ** 2 / mse)


@compiled
def psnr(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    """Peak signal-to-noise ratio, 10 log10(L^2 / mean (y - t)^2).

    Args:
        prediction: y, float `[N, H, W, C]`. Clip it to the valid range first to follow the
            paper's protocol.
        target: t, the same shape.
        data_range: L.
        where: bool, broadcastable to the images: the values that count, None for all.

    Returns:
        float32 `[N]` in dB; infinite for identical images, and for one without values that count.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, a `data_range` of 0 or less, or `where`
            does not broadcast.

    Reference:
        Table 3, which reports the mean over images.

    Example:
        >>> y, t = jnp.full((2, 8, 8, 3), 0.75), jnp.full((2, 8, 8, 3), 0.5)
        >>> metrics.psnr(y, t)
        Array([12.041201, 12.041201], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    mask = as_mask(where, prediction)
    mse = mean_per_image(jnp.square(selected(prediction - target, mask)), mask)
    return psnr_of_mse(mse, data_range=data_range)


@compiled
def ssim(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    """Structural similarity at one scale: an 11 px Gaussian window with sigma 1.5 px.

    Args:
        prediction: y, float `[N, H, W, C]`, sides of at least 11 px.
        target: t, the same shape.
        data_range: range of pixel values.
        where: bool, broadcastable to the images: the pixels that count, None for all. A position
            counts if all pixels of its window do; an image without any has the similarity 1.

    Returns:
        float32 `[N]` in [-1, 1], the mean over fully covered positions and channels; 1 means
        identical.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, a side below 11 px, a `data_range` of 0 or
            less, or `where` does not broadcast.

    Reference:
        Table 1; Wang et al., Image Quality Assessment, IEEE TIP 2004.

    Example:
        >>> t = jnp.linspace(0, 1, 1536).reshape(2, 16, 16, 3)
        >>> metrics.ssim(t**2, t)
        Array([0.41041297, 0.8905005 ], dtype=float32)
    """
    return 1 - losses.ssim(prediction, target, data_range=data_range, where=where)


@compiled
def ssim_map(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> jax.Array:
    """Structural similarity at every position; its mean is `ssim`.

    Args:
        prediction: y, float `[N, H, W, C]`, sides of at least `window` px.
        target: t, the same shape.
        data_range: range of pixel values.
        window: side of the Gaussian window, px.
        sigma: standard deviation of the window, px.
        k1: stabilizes the luminance quotient.
        k2: stabilizes the contrast quotient.

    Returns:
        float32 `[N, H-window+1, W-window+1, C]` in [-1, 1]; 1 means identical. Position (i, j) is
        that of the window whose first pixel is (i, j): only fully covered positions have a value.

    Raises:
        TypeError: an input is not floating, or an option is not a number (`window`: an integer).
        ValueError: a rank other than 4, unequal shapes, a side below `window`, or an option of 0 or
            less.

    Reference:
        Wang et al., Image Quality Assessment, IEEE TIP 2004, Eq. 13.

    Example:
        >>> t = jnp.linspace(0, 1, 1536).reshape(2, 16, 16, 3)
        >>> metrics.ssim_map(t**2, t).shape
        (2, 6, 6, 3)
    """
    similarities, _ = similarity_map(
        prediction,
        target,
        data_range=data_range,
        window=window,
        sigma=sigma,
        k1=k1,
        k2=k2,
        where=None,
    )
    return jnp.moveaxis(similarities, 1, 3)


@compiled
def luma(images: jax.Array, *, data_range: float = 1.0) -> jax.Array:
    """Y of RGB images, ITU-R BT.601 in studio range, not rounded.

    Args:
        images: RGB, float `[N, H, W, 3]` in [0, L]; or Y, `[N, H, W, 1]`, returned unchanged.
        data_range: L.

    Returns:
        float32 `[N, H, W, 1]`, for RGB in [16 L / 255, 235 L / 255].

    Raises:
        TypeError: images are not floating.
        ValueError: a rank other than 4, a number of channels other than 1 and 3, or a `data_range`
            of 0 or less.

    Reference:
        Table 1, which scores super-resolution on Y.

    Example:
        >>> images = jnp.array([0.0, 1.0]).reshape(2, 1, 1, 1) * jnp.ones((2, 8, 8, 3))
        >>> metrics.luma(images)[:, 0, 0]
        Array([[0.0627451 ],
               [0.92156863]], dtype=float32)
    """
    images = as_float("images", images, 4)
    if images.shape[3] == 1:
        return images
    if images.shape[3] != 3:
        raise ValueError(f"images must have 1 or 3 channels, got shape {images.shape}")
    black = LUMA_BLACK * number("data_range", data_range, images.dtype)
    return weighted_channels(images, LUMA_WEIGHTS, black)


@compiled
def ms_ssim(
    prediction: jax.Array,
    target: jax.Array,
    *,
    data_range: float = 1.0,
    per_channel: bool = False,
) -> jax.Array:
    """Multi-scale structural similarity as the PIRM challenge computes it.

    prod_{s<5} mean(cs_s)^w_s * mean(ssim_5)^w_5. Between scales, images are halved by the mean of
    2x2 pixels, with reflection padding. On images smaller than the window, the window and its
    sigma shrink, so that small images have a value as well. A negative mean at a scale counts
    as 0.

    Args:
        prediction: y, float `[N, H, W, C]`; the paper's protocol does not clip it.
        target: t, the same shape.
        data_range: range of pixel values.
        per_channel: multiply the scales of each channel and take the mean over channels last, as
            TensorFlow and pytorch-msssim do, instead of the mean over channels at every scale, as
            the challenge does. The two differ where channels do.

    Returns:
        float32 `[N]` in [0, 1]; 1 means identical.

    Raises:
        TypeError: an input is not floating, or `per_channel` not bool.
        ValueError: a rank other than 4, unequal shapes, or a `data_range` of 0 or less.

    Reference:
        Table 3; Wang et al., Multi-scale Structural Similarity, Asilomar 2003.

    Example:
        >>> t = jnp.linspace(0, 1, 1536).reshape(2, 16, 16, 3)
        >>> metrics.ms_ssim(t**2, t)
        Array([0.785387  , 0.93086195], dtype=float32)
    """
    return multi_scale_similarity(
        prediction, target, data_range=data_range, floor=0.0, per_channel=per_channel
    )
