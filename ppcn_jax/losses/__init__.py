"""Losses for image enhancement, as pure functions: `loss(prediction, target, *, option=...)`.

Each returns float32 `[N]`, one value per image, lower is better; take the batch mean and the
weights yourself. Images are float `[N, H, W, C]` in [0, 1]. Gradients are finite, also on flat,
identical and extreme inputs.

- Pixels: `l1`, `mae`, `log_mse`, `charbonnier`, `gradient`, `laplacian`, `focal_frequency`.
- Structure: `ssim`, `ms_ssim`.
- Color: `color`, with `paper_blur` or `released_blur`.
- Smoothness: `total_variation`, `edge_aware_total_variation`.
- Features of a network, such as `models.Vgg`: `perceptual`, `contextual`, `contextual_bilateral`,
  `frequency_distribution`, `projected_wasserstein`, `sliced_wasserstein`, `lpips`, `dists`; and
  `contextual_map`, one value per position.
- Logits of a discriminator: `texture`, `relativistic`; for the discriminator itself,
  `discrimination`, and `real_logit`, the logit of each image.
- Distillation, features of student and teacher: `attention`, `fsp`.

Examples need `import jax.numpy as jnp` and `from ppcn_jax import losses`.
"""

# Imports only `ops`.

from ppcn_jax.losses.adversarial import discrimination, real_logit, relativistic, texture
from ppcn_jax.losses.bilateral import contextual_bilateral
from ppcn_jax.losses.color import color, paper_blur, released_blur
from ppcn_jax.losses.contextual import contextual, contextual_map
from ppcn_jax.losses.distillation import attention, fsp
from ppcn_jax.losses.distributions import (
    frequency_distribution,
    projected_wasserstein,
    sliced_wasserstein,
)
from ppcn_jax.losses.frequency import focal_frequency
from ppcn_jax.losses.gradients import gradient, laplacian
from ppcn_jax.losses.learned import dists, lpips
from ppcn_jax.losses.perceptual import perceptual
from ppcn_jax.losses.pixel import charbonnier, l1, log_mse, mae
from ppcn_jax.losses.ssim import ms_ssim, ssim
from ppcn_jax.losses.total_variation import edge_aware_total_variation, total_variation

__all__ = [
    "attention",
    "charbonnier",
    "color",
    "contextual",
    "contextual_bilateral",
    "contextual_map",
    "discrimination",
    "dists",
    "edge_aware_total_variation",
    "focal_frequency",
    "frequency_distribution",
    "fsp",
    "gradient",
    "l1",
    "laplacian",
    "log_mse",
    "lpips",
    "mae",
    "ms_ssim",
    "paper_blur",
    "perceptual",
    "projected_wasserstein",
    "real_logit",
    "relativistic",
    "released_blur",
    "sliced_wasserstein",
    "ssim",
    "texture",
    "total_variation",
]
