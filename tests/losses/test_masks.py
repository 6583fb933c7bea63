"""Masks (`where`) of losses and metrics, and their maps."""

import functools
import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses, metrics

BOX = np.s_[:, 1:13, 2:15]
# Each program runs once, so that a long compilation does not pay.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def in_blocks(prediction, target, **options):
    # Without the wrapper that compiles, whose programs would keep the other block size.
    module = importlib.import_module("ppcn_jax.losses.contextual")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ENTRIES", 1)
        return inspect.unwrap(losses.contextual)(prediction, target, **options)


# Function, and its value for an image in which nothing counts.
CASES = {
    "charbonnier": (losses.charbonnier, 0),
    "edge_aware_total_variation": (losses.edge_aware_total_variation, 0),
    "gradient": (losses.gradient, 0),
    "color": (losses.color, 0),
    "contextual": (losses.contextual, 0),
    "contextual-in-blocks": (in_blocks, 0),
    "l1": (losses.l1, 0),
    "log_mse": (losses.log_mse, 0),
    "mae": (losses.mae, 0),
    "perceptual": (losses.perceptual, 0),
    "ssim": (losses.ssim, 0),
    "total_variation": (lambda y, t, **options: losses.total_variation(y, **options), 0),
    "metrics.psnr": (metrics.psnr, np.inf),
    "metrics.ssim": (metrics.ssim, 1),
}


def masked_pair():
    """Images that are NaN outside of a box, and the mask of the box in the first image only."""
    mask = np.zeros((2, 14, 17, 1), bool)
    mask[:1][BOX] = True
    images = np.random.default_rng(0).random((2, 2, 14, 17, 4), np.float32)
    return *np.where(mask, images, np.nan), mask


@pytest.mark.parametrize("name", CASES)
def test_a_mask_of_a_box_equals_the_box_alone(name):
    function, of_nothing = CASES[name]
    prediction, target, mask = masked_pair()

    def total(prediction, target):
        values = function(prediction, target, where=mask)
        return values[0], values

    def run(function, *pair):
        program = jax.jit(jax.value_and_grad(function, argnums=(0, 1), has_aux=True))
        return program.lower(*pair).compile(QUICK)(*pair)

    (_, values), gradients = run(total, prediction, target)
    (expected, _), slopes = run(
        lambda *pair: (function(*pair)[0], None), prediction[:1][BOX], target[:1][BOX]
    )
    np.testing.assert_allclose(values, [expected, of_nothing], rtol=1e-5)
    for gradient, slope in zip(gradients, slopes, strict=True):
        tolerance = 1e-5 * np.abs(slope).max()
        np.testing.assert_allclose(gradient[:1][BOX], slope, rtol=1e-4, atol=tolerance)
        np.testing.assert_array_equal(np.where(mask, 0, gradient), 0)


def test_masks_broadcast():
    pair = np.random.default_rng(0).random((2, 3, 4, 5, 3), np.float32)
    channel = np.array([True, False, True]).reshape(1, 1, 1, 3)
    value = losses.mae(*pair, where=channel)
    np.testing.assert_allclose(value, losses.mae(*pair[..., [0, 2]]), rtol=1e-6)


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_contextual_of_scattered_positions_equals_those_alone(distance):
    pair = np.random.default_rng(0).random((2, 1, 5, 7, 8), np.float32)
    where = np.random.default_rng(1).random((1, 5, 7, 1)) < 0.5
    contextual = functools.partial(losses.contextual, distance=distance)
    alone = (x[where[..., 0]][None, None] for x in pair)
    np.testing.assert_allclose(contextual(*pair, where=where), contextual(*alone), rtol=1e-5)


def test_means_of_maps_are_the_losses():
    pair = jnp.asarray(np.random.default_rng(0).random((2, 2, 13, 12, 4), np.float32))
    similarity = metrics.ssim_map(*pair)
    assert similarity.shape == (2, 3, 2, 4)
    np.testing.assert_allclose(similarity.mean(axis=(1, 2, 3)), metrics.ssim(*pair), rtol=1e-5)
    contextual = losses.contextual_map(*pair)
    assert contextual.shape == (2, 13, 12)
    value = -jnp.log(contextual.mean(axis=(1, 2)))
    np.testing.assert_allclose(value, losses.contextual(*pair), rtol=1e-5)


def test_map_is_one_where_images_are_equal():
    prediction, target = np.random.default_rng(0).random((2, 1, 24, 24, 1), np.float32)
    prediction[:, :, :12] = target[:, :, :12]
    similarity = np.asarray(metrics.ssim_map(prediction, target))
    np.testing.assert_allclose(similarity[:, :, :2], 1, atol=1e-6)
    # The Gaussian window weights its first columns with little.
    assert (similarity[:, :, 6:] < 0.9).all()
