"""Losses and metrics multiply in float32 on accelerators too, forward and in gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses, metrics
from ppcn_jax.steps.objective import LOSSES
from tests.products import CONVOLUTION, MATRIX_PRODUCT, PLATFORMS, products_on

IMAGES = (2, 24, 20, 3)
SHAPES = {"images": IMAGES, "features": (2, 6, 5, 16), "logits": (2, 1), "taps": (2, 24, 20, 1)}
FUNCTIONS = {
    **{name: (function, SHAPES[role]) for name, (function, role) in LOSSES.items()},
    "attention": (lambda s, t: losses.attention([s], [t]), SHAPES["taps"]),
    "color-plane": (functools.partial(losses.color, kernel=np.ones((5, 3)) / 15), IMAGES),
    "contextual-blocks": (losses.contextual, (1, 40, 30, 4)),
    "contextual-l2": (functools.partial(losses.contextual, distance="l2"), SHAPES["features"]),
    "discrimination": (lambda p, t: losses.discrimination(p, t[:, 0] > 0), SHAPES["logits"]),
    "dists": (lambda p, t: losses.dists([p], [t]), SHAPES["features"]),
    "fsp": (lambda p, t: losses.fsp([(p, p)], [(t, t)]), SHAPES["features"]),
    "lpips": (lambda p, t: losses.lpips([p], [t]), SHAPES["features"]),
    "metric-ms_ssim": (metrics.ms_ssim, IMAGES),
    "metric-psnr": (metrics.psnr, IMAGES),
    "metric-ssim": (metrics.ssim, IMAGES),
    "metric-luma": (lambda x, y: metrics.luma(x), IMAGES),
    "ssim-large": (losses.ssim, (1, 280, 280, 1)),
}
WITHOUT = {"attention", "discrimination", "l1", "log_mse", "mae", "perceptual"}
WITHOUT |= {"charbonnier", "edge_aware_total_variation", "gradient"}
WITHOUT |= {"dists", "lpips", "projected_wasserstein", "relativistic", "texture"}
WITHOUT |= {"total_variation", "metric-luma", "metric-psnr"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_are_float32(name):
    function, shape = FUNCTIONS[name]
    unary = name in ("texture", "total_variation")

    def total(prediction, target):
        return jnp.sum(function(prediction) if unary else function(prediction, target))

    example = jax.ShapeDtypeStruct(shape, jnp.float32)
    found = products_on(PLATFORMS, jax.value_and_grad(total), example, example)
    assert found.keys() <= {(MATRIX_PRODUCT, "float32"), (CONVOLUTION, "float32")}
    assert bool(found) == (name not in WITHOUT)
