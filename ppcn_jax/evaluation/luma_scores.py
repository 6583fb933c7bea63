"""How good is a super-resolved image: PSNR and SSIM on its luma, without the border."""

import functools
import math
from typing import Any

import jax
import numpy as np

from ppcn_jax.metrics import luma, psnr, ssim
from ppcn_jax.runtime.errors import InputError


def score_luma(
    name: str, prediction: np.ndarray, target: np.ndarray, *, border: int
) -> dict[str, Any]:
    """Scores of one image on Y, taken as it is given: neither clipped nor rounded.

    Args:
        name: of the image.
        prediction: float `[H, W, C]` in about [0, 1], or uint8; C is 3, or 1 for an image that
            is Y itself.
        target: the same shape, float in [0, 1] or uint8.
        border: how many pixels on each side are left out; tables leave out as many as the scale.

    Returns:
        `{"name", "psnr_y", "ssim_y"}`; psnr_y is None where it is infinite (JSON has no infinity).

    Raises:
        InputError: a prediction that is not finite.
        ValueError: unequal shapes, or less than SSIM's window of 11 px left.

    Reference:
        Table 1.
    """
    decibels, similarity = map(float, _scores(_float(prediction), _float(target), border))
    if math.isnan(decibels) or math.isnan(similarity):
        raise InputError(f"{name}: the model's output is not finite; its training has diverged")
    finite = math.isfinite(decibels)
    return {"name": name, "psnr_y": decibels if finite else None, "ssim_y": similarity}


@functools.partial(jax.jit, static_argnums=2)
def _scores(prediction: jax.Array, target: jax.Array, border: int) -> tuple[jax.Array, jax.Array]:
    y, t = (luma(_inside(image, border)[None]) for image in (prediction, target))
    return psnr(y, t)[0], ssim(y, t)[0]


def _inside(image: jax.Array, border: int) -> jax.Array:
    height, width = image.shape[:2]
    return image[border : height - border, border : width - border]


def _float(image: np.ndarray) -> np.ndarray:
    # Divided by NumPy: the compiler multiplies by 1/255, and an identical image is off by a bit.
    return image / np.float32(255) if image.dtype == np.uint8 else np.asarray(image, np.float32)
