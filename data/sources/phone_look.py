"""Make a good photo look as if an old phone had taken it."""

import io

import numpy as np
from PIL import Image, ImageFilter

# Chosen so that the demo's seven photos change, on average, as DPED's real iPhone patches differ
# from the camera's: mean x 0.74, contrast (standard deviation, 46 to 35 gray levels) x 0.76,
# saturation (largest minus smallest channel, averaged: 20.6 to 14.0) x 0.68, PSNR 17.3 dB.
_BLUR_RADIUS = 1.0  # pixels, standard deviation
_SATURATION = 0.96
_GAIN = 0.85
_OFFSET = -11.0  # gray levels
_WHITE_BALANCE = (0.86, 1.0, 1.06)  # a cool cast
_EXPOSURE_SPREAD = 0.05  # how much the exposure varies from photo to photo
_NOISE = 4.0  # gray levels
_JPEG_QUALITY = 80

_LUMA = np.array([0.299, 0.587, 0.114])


def phone_look(photo: np.ndarray, index: int) -> np.ndarray:
    """Blur, fade, darken, tint, add noise and compress.

    Args:
      photo: uint8 [H, W, 3].
      index: the photo's number; exposure and noise depend on it and on nothing else.

    Returns:
      uint8 [H, W, 3].
    """
    rng = np.random.default_rng(index)
    blurred = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS))
    rgb = np.asarray(blurred).astype(np.float64)
    luma = (rgb @ _LUMA)[..., None]
    faded = luma + _SATURATION * (rgb - luma)
    exposure = _GAIN + rng.uniform(-_EXPOSURE_SPREAD, _EXPOSURE_SPREAD)
    seen = exposure * faded * _WHITE_BALANCE + _OFFSET
    noisy = seen + rng.normal(0, _NOISE, photo.shape)
    return _compressed(np.rint(noisy).clip(0, 255).astype(np.uint8))


def _compressed(rgb: np.ndarray) -> np.ndarray:
    jpeg = io.BytesIO()
    Image.fromarray(rgb).save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    return np.asarray(Image.open(jpeg))
