"""Image losses of the `released` preset against numbers from the authors' code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses
from ppcn_jax.models.discriminator import Discriminator, grayscale
from ppcn_jax.models.vgg import Vgg
from tests.references import assert_gradients_close

DISCRIMINATOR = Discriminator(outputs=2, first_norm=False)


@pytest.fixture(scope="module")
def golden(goldens):
    return goldens("losses")


def check_term(golden, name, term, *, swap="adv0", images=4):
    """Value, and gradient with respect to the enhanced images, of a scalar term."""
    value, gradient = jax.jit(jax.value_and_grad(term))(golden["enhanced"])
    np.testing.assert_allclose(value, golden[f"{name}/{swap}"], rtol=1e-4)

    stride = 1 if swap == "adv0" else 2
    key = f"grad/{name}/{swap}"
    assert_gradients_close(gradient[0, ::stride, ::stride], golden[f"{key}/img0"])
    assert_gradients_close(gradient[:images, ::5, ::5], golden[f"{key}/sub5"][:images])
    norms = np.sqrt(np.square(gradient).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(norms, golden[f"{key}/l2_per_image"], rtol=2e-3)


def test_ssim(golden):
    check_term(golden, "ssim_loss", lambda y: 25 * losses.ssim(y, golden["target"]).mean())


def test_ssim_per_image_in_float64(golden):
    value = 1 - jax.jit(losses.ssim)(golden["enhanced"], golden["target"])
    np.testing.assert_allclose(value, golden["ssim_per_image_float64_numpy"], atol=2e-6)


def test_color(golden):
    check_term(
        golden,
        "loss_color",
        lambda y: losses.color(y, golden["target"], kernel="released").mean() / 2,
    )


def test_total_variation(golden):
    check_term(golden, "loss_tv", lambda y: losses.total_variation(y).mean())


# The released code sums both over the batch.
def texture(params, golden):
    def term(enhanced):
        logits = DISCRIMINATOR.apply({"params": params}, grayscale(enhanced))
        return losses.texture(logits, form="saturating").sum()

    return term


def negative_discrimination(params, golden):
    is_real = golden["adv_mixed"][:, 0] == 1

    def term(enhanced):
        shown = jnp.where(is_real[:, None, None, None], golden["target"], enhanced)
        logits = DISCRIMINATOR.apply({"params": params}, grayscale(shown))
        return -losses.discrimination(logits, is_real, clip=True).sum()

    return term


@pytest.mark.parametrize(
    ("swap", "make_term"), [("adv0", texture), ("advmixed", negative_discrimination)]
)
def test_texture_through_discriminator(golden, golden_discriminator, swap, make_term):
    check_term(golden, "loss_texture", make_term(golden_discriminator, golden), swap=swap)


def test_contextual_through_vgg(golden, golden_vgg):
    extract = jax.jit(lambda images: Vgg(depth=19).apply({"params": golden_vgg}, images))
    target = extract(golden["target"])
    # The last image's golden gradient is on the other side of a tie in float32: it is 2 % of the
    # maximum away from float64 in one corner, where ours is 1e-5 of the maximum away.
    check_term(
        golden,
        "cx_loss_x4",
        lambda y: 4 * losses.contextual(extract(y), target).mean(),
        images=3,
    )


@pytest.mark.parametrize("swap", ["adv0", "advmixed"])
def test_discrimination_and_accuracy_from_predictions(golden, swap):
    # A softmax head's logits are the logarithms of its probabilities, up to a constant.
    logits = jnp.log(golden[f"discrim_predictions/{swap}"])
    is_real = golden["adv_mixed"][:, 0] == (1 if swap == "advmixed" else 2)
    value = losses.discrimination(logits, is_real, clip=True).sum()
    np.testing.assert_allclose(value, golden[f"loss_discrim/{swap}"], rtol=1e-4)
    correct = (losses.real_logit(logits) > 0) == is_real
    assert np.mean(correct) == golden[f"discrim_accuracy/{swap}"]


def test_mae_and_ssim_of_super_resolution(golden):
    high, low = (golden[f"sr_{name}_u8"].astype(np.float32) for name in ("hr", "sr"))

    def total(image):
        mae, ssim = losses.mae(image, high).mean(), losses.ssim(image, high, data_range=255).mean()
        return mae + 25 * ssim, (mae, ssim)

    (value, (mae, ssim)), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(low)
    np.testing.assert_allclose(mae, golden["sr_mae"], rtol=1e-6)
    np.testing.assert_allclose(ssim, golden["sr_ssim_loss"], rtol=1e-4)
    np.testing.assert_allclose(value, golden["sr_total"], rtol=1e-4)
    assert_gradients_close(gradient, golden["sr_grad_total"])
