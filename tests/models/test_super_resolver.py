import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.models import SuperResolver
from ppcn_jax.models.super_resolver import depth_to_space
from ppcn_jax.weights.load import load_model
from tests import references

COUNTS = {2: 226_156, 3: 230_491, 4: 236_560}
SIZES = [(16, 24), (17, 19), (22, 16)]


def random_images(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def apply(module, params, images):
    return jax.jit(module.apply)({"params": params}, images)


@pytest.fixture(scope="module")
def released(shared):
    """Parameters of the released checkpoint."""
    return load_model(shared / "checkpoints" / "generator_all.ckpt").params


@pytest.mark.parametrize("scale", COUNTS)
def test_number_of_parameters(scale):
    module = SuperResolver(scale)
    params = jax.eval_shape(module.init, jax.random.key(0), random_images((1, 16, 16, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == COUNTS[scale]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("size", ["64x96", "61x83", "66x50"])
def test_equals_released_code_on_noise(released, goldens, size):
    golden = goldens("models_sr")
    images, expected = golden[f"rand_{size}"], golden[f"out_rand_{size}"]
    height, width = images.shape[1:3]
    # The released network does not crop what it adds to reach multiples of 4.
    expected = expected[:, :height, :width]
    np.testing.assert_allclose(apply(SuperResolver(), released, images), expected, atol=5e-5)


def test_equals_released_code_on_photos(released, goldens):
    golden = goldens("models_sr")
    images = (golden["patches_u8"] / 255).astype(np.float32)
    output = apply(SuperResolver(), released, images)
    np.testing.assert_allclose(output, golden["out_patches"], atol=5e-5)


def test_clipped_it_equals_the_released_training_network(released, goldens):
    golden = goldens("models_sr")
    output = 255 * jnp.clip(apply(SuperResolver(), released, golden["rand_64x96"]), 0, 1)
    expected = golden["train_version_out_rand_64x96_0_255"]
    np.testing.assert_allclose(output, expected, atol=255 * 5e-5)


@pytest.mark.parametrize("scale", COUNTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_float64_reference_at_the_size_of_the_input(random_params, scale, size):
    images = random_images((2, *size, 3))
    module = SuperResolver(scale)
    params = random_params(module, images)
    output = apply(module, params, images)
    assert output.shape == images.shape and output.dtype == jnp.float32
    expected = references.super_resolver(params, images, scale=scale)
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_batch_equals_one_by_one(random_params):
    images = random_images((3, 20, 18, 3))
    params = random_params(SuperResolver(), images)
    together = apply(SuperResolver(), params, images)
    alone = [apply(SuperResolver(), params, images[i : i + 1]) for i in range(3)]
    # Another size is another order of sums, in levels of 255.
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=0, atol=1e-5)


def test_bfloat16_stays_close(random_params):
    images = random_images((1, 32, 32, 3))
    params = random_params(SuperResolver(), images)
    output = apply(SuperResolver(precision="bfloat16"), params, images)
    expected = apply(SuperResolver(), params, images)
    assert output.dtype == jnp.float32
    assert 1e-6 < np.abs(output - expected).mean() < 0.01


def test_a_brighter_image_gives_the_same_detail(random_params):
    # The mean of each channel passes the network by; to float32's precision, not bfloat16's.
    images = 0.4 * random_images((1, 32, 32, 3))
    module = SuperResolver(precision="bfloat16")
    params = random_params(module, images)
    brighter = apply(module, params, images + np.float32(0.5))
    np.testing.assert_allclose(brighter - 0.5, apply(module, params, images), atol=5e-3)


def test_depth_to_space_takes_each_color_from_channels_of_its_own():
    # Channel c of one position: color c // 4, row c // 2 % 2, column c % 2.
    pixels = depth_to_space(jnp.arange(12).reshape(1, 1, 1, 12), 2)
    expected = [[[0, 4, 8], [1, 5, 9]], [[2, 6, 10], [3, 7, 11]]]
    np.testing.assert_array_equal(pixels[0], expected)


def test_starts_with_glorots_kernels_and_no_biases():
    params = SuperResolver().init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    for name, layer in params.items():
        np.testing.assert_array_equal(layer["bias"], 0, err_msg=name)
        *taps, inputs, outputs = layer["kernel"].shape
        limit = np.sqrt(6 / (np.prod(taps) * (inputs + outputs)))
        assert 0.95 * limit < np.abs(layer["kernel"]).max() <= limit, name


def test_every_parameter_has_a_gradient(random_params):
    images = random_images((1, 16, 16, 3))
    params = random_params(SuperResolver(), images)

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.square(SuperResolver().apply({"params": params}, images)).sum()

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params)):
        assert np.abs(leaf).max() > 1e-5, path


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (jnp.zeros((1, 15, 16, 3)), ValueError, "at least 16 px"),
        (jnp.zeros((1, 16, 16, 1)), ValueError, "N, H, W, 3"),
        (jnp.zeros((16, 16, 3)), ValueError, "N, H, W, 3"),
        (jnp.zeros((1, 16, 16, 3), jnp.uint8), TypeError, "uint8"),
    ],
    ids=["side", "channels", "rank", "type"],
)
def test_other_images_raise(images, error, message):
    with pytest.raises(error, match=message):
        SuperResolver().init(jax.random.key(0), images)


@pytest.mark.parametrize("scale", [0, 1, 5])
def test_other_scales_raise(scale):
    with pytest.raises(ValueError, match=rf"one of \(2, 3, 4\), not {scale}"):
        SuperResolver(scale).init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
