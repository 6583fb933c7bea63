import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.losses import real_logit
from ppcn_jax.models import Discriminator, PatchDiscriminator, grayscale
from tests import references
from tests.references import assert_gradients_close

PRESETS = {"paper": Discriminator(), "released": Discriminator(outputs=2, first_norm=False)}
CONVOLUTIONS = (
    9 * 9 * 64 + 64,
    5 * 5 * 64 * 128 + 128,
    3 * 3 * 128 * 192 + 192,
    3 * 3 * 192 * 192 + 192,
    3 * 3 * 192 * 256 + 256,
    3 * 3 * 256 * 256 + 256,
)
NORMS = 2 * (128 + 192 + 192 + 256 + 256)
DENSE = 7 * 7 * 256 * 1024 + 1024
COUNTS = {
    "paper": sum(CONVOLUTIONS) + NORMS + 2 * 64 + DENSE + 1025,
    "released": sum(CONVOLUTIONS) + NORMS + DENSE + 2 * 1025,
}


@pytest.fixture(params=PRESETS)
def preset(request):
    return request.param


@pytest.fixture
def module(preset):
    return PRESETS[preset]


def random_images(shape=(2, 20, 33, 1), seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def test_number_of_parameters(preset, module):
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 100, 100, 1)))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == COUNTS[preset]
    assert ("norm0" in shapes) == (preset == "paper")


@pytest.mark.parametrize("shape", [(2, 20, 33, 1), (1, 16, 16, 1)], ids=str)
def test_equals_float64_reference(module, random_params, shape):
    images = random_images(shape)
    params = random_params(module, images)
    logits = jax.jit(module.apply)({"params": params}, images)
    assert logits.shape == (shape[0], module.outputs) and logits.dtype == jnp.float32
    expected = references.discriminator(params, images)
    np.testing.assert_allclose(logits, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_batch_equals_one_by_one(module, random_params):
    images = random_images((3, 20, 20, 1))
    params = random_params(module, images)
    apply = jax.jit(module.apply)
    alone = [apply({"params": params}, images[i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(apply({"params": params}, images), np.concatenate(alone), atol=1e-5)


def test_bfloat16_stays_close(random_params):
    module, images = PRESETS["paper"], random_images()
    params = random_params(module, images)
    narrow = jax.jit(module.clone(precision="bfloat16").apply)({"params": params}, images)
    expected = jax.jit(module.apply)({"params": params}, images)
    assert narrow.dtype == jnp.float32
    assert 0 < np.abs(narrow - expected).max() < 0.1


def test_flat_images_give_finite_gradients(module, random_params):
    # One level an image: zero variance everywhere.
    images = np.broadcast_to(np.float32([0, 0.3, 1])[:, None, None, None], (3, 16, 16, 1))
    params = random_params(module, images)
    gradient = jax.grad(lambda p, x: module.apply({"params": p}, x).sum(), (0, 1))
    for leaf in jax.tree.leaves(jax.jit(gradient)(params, images)):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (jnp.zeros((1, 16, 15, 1)), ValueError, "at least 16 px"),
        (jnp.zeros((1, 16, 16, 3)), ValueError, "N, H, W, 1"),
        (jnp.zeros((1, 16, 16, 1), jnp.uint8), TypeError, "uint8"),
    ],
    ids=["side", "channels", "type"],
)
def test_other_images_raise(module, images, error, message):
    with pytest.raises(error, match=message):
        module.init(jax.random.key(0), images)


@pytest.mark.parametrize("shape", [(2, 20, 33, 1), (1, 16, 16, 1)], ids=str)
def test_patches_equal_float64_reference(random_params, shape):
    images, module = random_images(shape), PatchDiscriminator()
    params = random_params(module, images)
    logits = jax.jit(module.apply)({"params": params}, images)
    assert logits.shape == (shape[0], -(-shape[1] // 8), -(-shape[2] // 8), 1)
    expected = references.patch_discriminator(params, images)
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max())


def test_patches_have_a_side_of_70_pixels(monkeypatch):
    # Without norms, whose statistics depend on the whole image.
    monkeypatch.setattr("ppcn_jax.models.discriminator.InstanceNorm", lambda name: lambda x: x)
    module = PatchDiscriminator()
    images = jnp.zeros((1, 128, 128, 1))
    params = jax.jit(module.init)(jax.random.key(0), images)["params"]
    slope = jax.jit(jax.grad(lambda x: module.apply({"params": params}, x)[0, 8, 8, 0]))(images)
    for axis in (1, 2):
        seen = np.flatnonzero(np.abs(slope).sum(axis=tuple({1, 2, 3} - {axis}))[0])
        assert np.ptp(seen) + 1 == 70


def test_patches_have_the_published_number_of_parameters():
    shapes = jax.eval_shape(PatchDiscriminator().init, jax.random.key(0), jnp.zeros((1, 70, 70, 1)))
    kernels = sum(16 * a * b for a, b in ((1, 64), (64, 128), (128, 256), (256, 512), (512, 1)))
    biases, norms = 64 + 128 + 256 + 512 + 1, 2 * (128 + 256 + 512)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == kernels + biases + norms


@pytest.fixture(scope="module")
def released(goldens, golden_discriminator, recipes):
    """Golden numbers, the network as a function of parameters, and its intermediate values."""
    golden = goldens("discriminator")
    leaves = recipes.checksums(recipes.disc_weights())
    np.testing.assert_array_equal(leaves, golden["weights_checksum"])
    images = golden["gray_u8"][..., None].astype(np.float32) / 255

    def apply(images):
        return PRESETS["released"].apply(
            {"params": golden_discriminator}, images, capture_intermediates=True
        )

    logits, state = jax.jit(apply)(images)
    return golden, apply, images, logits, state["intermediates"]


def test_probabilities_equal_released_code(released):
    golden, _, _, logits, _ = released
    np.testing.assert_allclose(jax.nn.softmax(logits), golden["probs"], atol=1e-5)
    real = jax.nn.sigmoid(real_logit(logits))
    np.testing.assert_allclose(real, golden["probs"][:, 0], atol=1e-5)


def test_stages_equal_released_code(released):
    golden, *_, inner = released
    # Counted from 1 there; the first stage has no norm.
    stages = [jax.nn.leaky_relu(inner["conv0"]["__call__"][0], 0.2)]
    stages += [inner[f"norm{index}"]["__call__"][0] for index in range(1, 6)]
    for number, stage in enumerate(stages, 1):
        stage = np.asarray(stage, np.float64)
        assert stage.shape == tuple(golden[f"conv{number}/shape"])
        for statistic, values in (
            ("mean", stage.mean(axis=(1, 2))),
            ("std", stage.std(axis=(1, 2))),
            ("absmean", np.abs(stage).mean(axis=(1, 2))),
        ):
            expected = golden[f"conv{number}/channel_{statistic}"]
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(stages[0][0, ::5, ::5], golden["conv1_img0_sub5"], atol=2e-5)
    np.testing.assert_allclose(stages[5], golden["conv6"], atol=2e-4)
    dense = jax.nn.leaky_relu(inner["dense"]["__call__"][0], 0.2)
    np.testing.assert_allclose(dense, golden["fc1024"], atol=2e-4)


def test_gradient_equals_released_code(released):
    golden, apply, images, *_ = released

    def sum_log_real(images):
        return jax.nn.log_softmax(apply(images)[0])[:, 0].sum()

    gradient = np.asarray(jax.jit(jax.grad(sum_log_real))(images))[..., 0]
    assert_gradients_close(gradient[:2], golden["grad_sum_log_p0_wrt_x"])
    norms = np.sqrt(np.square(gradient).sum(axis=(1, 2)))
    np.testing.assert_allclose(norms, golden["grad_sum_log_p0_wrt_x_l2"], rtol=2e-3)


def test_grayscale():
    images = random_images((2, 5, 7, 3))
    np.testing.assert_allclose(grayscale(images), references.gray(images), atol=1e-6)
    np.testing.assert_allclose(grayscale(np.ones((1, 1, 1, 3), np.float32)), 0.9999, rtol=1e-6)
    assert grayscale(jnp.asarray(images, jnp.bfloat16)).dtype == jnp.bfloat16


def test_grayscale_equals_released_code(goldens):
    golden = goldens("losses")
    gray = grayscale(golden["enhanced"][:1])[..., 0]
    np.testing.assert_allclose(gray, golden["enhanced_gray"], atol=1e-6)
