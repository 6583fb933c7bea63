"""PPCN's losses as pure functions: `loss(prediction, target, *, knob=...) -> float32[N]`.

A loss returns one value per image and takes neither the batch mean nor a weight. Images are
float `[N, H, W, C]` in [0, 1]; feature losses take features, adversarial losses take logits.
Lower is better. Gradients are finite, also on flat, identical and extreme inputs.

Imports only `ops`.
"""

from ppcn_jax.losses.adversarial import discrimination, real_logit, texture
from ppcn_jax.losses.color import color, paper_blur, released_blur
from ppcn_jax.losses.contextual import contextual
from ppcn_jax.losses.distillation import attention
from ppcn_jax.losses.perceptual import perceptual
from ppcn_jax.losses.pixel import l1, log_mse, mae
from ppcn_jax.losses.ssim import ms_ssim, ssim
from ppcn_jax.losses.total_variation import total_variation

__all__ = [
    "attention",
    "color",
    "contextual",
    "discrimination",
    "l1",
    "log_mse",
    "mae",
    "ms_ssim",
    "paper_blur",
    "perceptual",
    "real_logit",
    "released_blur",
    "ssim",
    "texture",
    "total_variation",
]
