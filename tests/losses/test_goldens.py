"""Losses of the `released` preset compared with values of the authors' code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import student, teacher
from ppcn_jax import losses
from ppcn_jax.metrics import ms_ssim, psnr_of_mse
from ppcn_jax.models.discriminator import Discriminator, grayscale
from ppcn_jax.models.enhancer import stretch_contrast
from ppcn_jax.models.vgg import Vgg
from ppcn_jax.ops.gaussian import filter_channels
from ppcn_jax.ops.moments import spatial_mean
from ppcn_jax.steps.objective import make_objective
from tests.references import assert_gradients_close

DISCRIMINATOR = Discriminator(outputs=2, first_norm=False)


@pytest.fixture(scope="module")
def golden(goldens):
    return goldens("losses")


def check_term(golden, name, term, params=None, *, swap="adv0", images=4):
    """Check the value of a scalar term and its gradient with respect to the enhanced images."""
    value, gradient = value_and_gradient(golden, term, params)
    np.testing.assert_allclose(value, golden[f"{name}/{swap}"], rtol=1e-4)
    compare_gradients(golden, f"{name}/{swap}", gradient, images)


def value_and_gradient(golden, term, params=None):
    # Pass weights as an argument: compiling them as constants takes seconds.
    arguments = () if params is None else (params,)
    return jax.jit(jax.value_and_grad(term))(golden["enhanced"], *arguments)


def compare_gradients(golden, name, gradient, images=4):
    stride = 2 if name.endswith("advmixed") else 1
    key = f"grad/{name}"
    assert_gradients_close(gradient[0, ::stride, ::stride], golden[f"{key}/img0"])
    assert_gradients_close(gradient[:images, ::5, ::5], golden[f"{key}/sub5"][:images])
    norms = np.sqrt(np.square(gradient).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(norms, golden[f"{key}/l2_per_image"], rtol=2e-3)


def test_ssim(golden):
    check_term(golden, "ssim_loss", lambda y: 25 * losses.ssim(y, golden["target"]).mean())


def test_ssim_per_image(golden):
    value = 1 - jax.jit(losses.ssim)(golden["enhanced"], golden["target"])
    np.testing.assert_allclose(value, golden["ssim_per_image_float64_numpy"], atol=2e-6)
    np.testing.assert_allclose(value, golden["tf_ssim_per_image"], rtol=1e-4)
    np.testing.assert_allclose(value.sum(), golden["ssim_sum"], rtol=1e-4)


def test_color(golden):
    check_term(
        golden,
        "loss_color",
        lambda y: losses.color(y, golden["target"], kernel="released").mean() / 2,
    )


def test_total_variation(golden):
    check_term(golden, "loss_tv", lambda y: losses.total_variation(y).mean())


def test_blur_of_the_color_loss(golden):
    blur = jax.jit(lambda x: filter_channels(x, losses.released_blur(), same=True))
    enhanced, target = blur(golden["enhanced"]), blur(golden["target"])
    np.testing.assert_allclose(enhanced[0], golden["enhanced_blur_img0"], atol=2e-6)
    np.testing.assert_allclose(enhanced[:, ::5, ::5], golden["enhanced_blur_sub5"], atol=2e-6)
    np.testing.assert_allclose(target[:, ::5, ::5], golden["dslr_blur_sub5"], atol=2e-6)


def test_directions_of_total_variation(golden):
    # An image of two equal lines has differences along the lines only.
    enhanced = jnp.asarray(golden["enhanced"])
    for axis, letter in ((1, "x"), (2, "y")):
        lines = jnp.moveaxis(enhanced, axis, 1)
        pairs = jnp.stack([lines, lines], axis=2).reshape(400, 2, 100, 3)
        # 100 lines of 99 * 3 differences each; the loss is a mean per line.
        total = losses.total_variation(pairs).sum() * 99 * 3
        np.testing.assert_allclose(total, 2 * golden[f"{letter}_tv_l2loss"], rtol=1e-4)
        assert golden[f"tv_{letter}_size"] == 100 * 99 * 3


@pytest.mark.parametrize(
    ("name", "score"), [("loss_mse", lambda mse: mse), ("loss_psnr", psnr_of_mse)]
)
def test_mse_and_psnr_of_the_batch(golden, name, score):
    check_term(golden, name, lambda y: score(jnp.mean(jnp.square(y - golden["target"]))))


def test_ms_ssim_equals_tensorflow(golden):
    pair = (golden[f"ms_big_{name}_u8"].astype(np.float32) for name in "ab")
    value = jax.jit(ms_ssim, static_argnames="data_range")(*pair, data_range=255)
    np.testing.assert_allclose(value, golden["tf_msssim_big_per_image"], atol=1e-5)


def test_contrast_stretching(golden):
    image = golden["enhanced"][:1]
    stretched = stretch_contrast(image, spatial_mean(image))[0]
    np.testing.assert_allclose(stretched, golden["contrast_1p2_img0"], atol=2e-6)


# The released code sums both losses over the batch.
def texture(golden):
    def term(enhanced, params):
        logits = DISCRIMINATOR.apply({"params": params}, grayscale(enhanced))
        return losses.texture(logits, form="saturating").sum()

    return term


def negative_discrimination(golden):
    is_real = golden["adv_mixed"][:, 0] == 1

    def term(enhanced, params):
        images = jnp.where(is_real[:, None, None, None], golden["target"], enhanced)
        logits = DISCRIMINATOR.apply({"params": params}, grayscale(images))
        return -losses.discrimination(logits, is_real, clip=True).sum()

    return term


@pytest.mark.parametrize(
    ("swap", "make_term"), [("adv0", texture), ("advmixed", negative_discrimination)]
)
def test_texture_through_discriminator(golden, golden_discriminator, swap, make_term):
    check_term(golden, "loss_texture", make_term(golden), golden_discriminator, swap=swap)


@pytest.mark.parametrize("swap", ["adv0", "advmixed"])
def test_discriminator_of_swapped_images(golden, golden_discriminator, swap):
    is_real = golden["adv_mixed"][:, 0] == (1 if swap == "advmixed" else 2)
    images = np.where(is_real[:, None, None, None], golden["target"], golden["enhanced"])
    gray = grayscale(images)
    expected = golden[f"adversarial_image_sub5/{swap}"]
    np.testing.assert_allclose(gray[:, ::5, ::5, 0], expected, atol=1e-6)
    logits = jax.jit(DISCRIMINATOR.apply)({"params": golden_discriminator}, gray)
    expected = golden[f"discrim_predictions/{swap}"]
    np.testing.assert_allclose(jax.nn.softmax(logits), expected, atol=1e-5)


def attention_maps(golden, net):
    halves = (golden[f"{net}_at{k}_f16"].astype(np.float32) for k in (1, 2))
    return [np.concatenate([half, 0.5 * half[::-1]]) for half in halves]


def test_total(golden, golden_vgg, golden_discriminator):
    """The total loss (Eq. 13) of the `released` preset and its gradient, over four images."""
    terms = student.get_config("released").objective
    terms.texture.weight = (
        4.0  # Eq. 8 is a sum over the batch, here of four images instead of fifty
    )
    objective = make_objective(terms.to_dict())

    def evaluate(enhanced, params):
        def predict(images):
            features = Vgg(depth=19).apply({"params": params["vgg"]}, images)
            return {"images": images, "features": features}

        prediction = predict(enhanced) | {"taps": attention_maps(golden, "student")}
        logits = DISCRIMINATOR.apply({"params": params["discriminator"]}, grayscale(enhanced))
        target = predict(golden["target"]) | {"taps": attention_maps(golden, "teacher")}
        return objective(prediction | {"logits": logits}, target)

    params = {"vgg": golden_vgg, "discriminator": golden_discriminator}
    gradient = jax.jit(jax.value_and_grad(evaluate, has_aux=True))
    (total, values), slope = gradient(golden["enhanced"], params)
    np.testing.assert_allclose(values["contextual"], golden["cx_loss_no_factor/adv0"], rtol=1e-4)
    content = 4 * values["contextual"] + 25 * values["ssim"]
    np.testing.assert_allclose(content, golden["loss_content/adv0"], rtol=1e-4)
    np.testing.assert_allclose(total, golden["loss_generator/adv0"], rtol=1e-4)
    # The last image is not compared: see `test_contextual_through_vgg`.
    compare_gradients(golden, "loss_generator/adv0", slope, images=3)

    # The teacher's objective is the same without the attention loss.
    teacher_terms = teacher.get_config("released").objective
    teacher_terms.texture.weight, teacher_terms.attention.weight = 4.0, 75.0
    assert teacher_terms == terms
    without_attention = total - 75 * values["attention"]
    np.testing.assert_allclose(
        without_attention, golden["teacher_script/loss_generator"], rtol=1e-4
    )

    # Swapping real and enhanced images changes one term only.
    for sign, make_term in ((-1, texture), (1, negative_discrimination)):
        value, change = value_and_gradient(golden, make_term(golden), golden_discriminator)
        total, slope = total + sign * value, slope + sign * change
    np.testing.assert_allclose(total, golden["loss_generator/advmixed"], rtol=1e-4)
    compare_gradients(golden, "loss_generator/advmixed", slope, images=3)


def test_contextual_through_vgg(golden, golden_vgg):
    def term(enhanced, params):
        features = (Vgg(depth=19).apply(params, x) for x in (enhanced, golden["target"]))
        return 4 * losses.contextual(*features).mean()

    # In the last image, two maxima almost tie, and the golden gradient resolves the tie the other
    # way in float32: in one corner it is off from float64 by 2 % of the maximum, ours by 1e-5.
    check_term(golden, "cx_loss_x4", term, {"params": golden_vgg}, images=3)


@pytest.mark.parametrize("swap", ["adv0", "advmixed"])
def test_discrimination_and_accuracy_from_predictions(golden, swap):
    # The logits of a softmax head equal the logarithms of its probabilities up to a constant.
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
