import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.models import Student, Teacher
from ppcn_jax.models.enhancer import stretch_contrast
from ppcn_jax.ops.moments import spatial_mean
from tests import references

NETWORKS = {"student": (Student, references.student), "teacher": (Teacher, references.teacher)}
COUNTS = {"student": 2_715, "teacher": 21_843}


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture
def module(name):
    return NETWORKS[name][0]()


def random_images(shape=(4, 17, 23, 3)):
    return np.random.default_rng(0).random(shape, np.float32)


@functools.partial(jax.jit, static_argnums=0)
def apply(module, params, images):
    """Output and taps."""
    return module.apply({"params": params}, images, taps=True)


def test_number_of_parameters(name, module):
    params = jax.eval_shape(module.init, jax.random.key(0), random_images())["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == COUNTS[name]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("shape", [(4, 17, 23, 3), (1, 16, 40, 3), (1, 16, 16, 3)], ids=str)
def test_equals_float64_reference(name, module, random_params, shape):
    images = random_images(shape)
    params = random_params(module, images)
    output, taps = apply(module, params, images)
    expected, expected_taps = NETWORKS[name][1](params, images)
    assert output.shape == shape and output.dtype == jnp.float32
    np.testing.assert_allclose(output, expected, atol=1e-5)
    for tap, expected_tap in zip(taps, expected_taps, strict=True):
        assert tap.shape == (*shape[:3], 1) and tap.dtype == jnp.float32
        np.testing.assert_allclose(tap, expected_tap, atol=1e-5)


def test_taps_do_not_change_the_output(module, random_params):
    images = random_images()
    params = random_params(module, images)
    output, _ = apply(module, params, images)
    alone = jax.jit(module.apply)({"params": params}, images)
    np.testing.assert_allclose(output, alone, atol=1e-6)


def test_output_reaches_but_stays_in_its_range(module, random_params):
    images = random_images()
    params = jax.tree.map(lambda leaf: 20 * leaf, random_params(module, images))
    output = np.asarray(apply(module, params, images)[0])
    assert output.min() == pytest.approx(-0.08, abs=1e-5) and output.min() >= -0.0800001
    assert output.max() == pytest.approx(1.08, abs=1e-5) and output.max() <= 1.0800001


def test_batch_equals_one_by_one(module, random_params):
    images = random_images()
    params = random_params(module, images)
    together, _ = apply(module, params, images)
    alone = [apply(module, params, images[i : i + 1])[0] for i in range(4)]
    # Processors sum in different orders: 1.07e-6 was seen on one of them, at a value of 0.66.
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-6, atol=1e-6)


def test_bfloat16_stays_close(name, module, random_params):
    images = random_images()
    params = random_params(module, images)
    output, taps = apply(NETWORKS[name][0](precision="bfloat16"), params, images)
    expected, _ = apply(module, params, images)
    assert {x.dtype for x in (output, *taps)} == {jnp.dtype(jnp.float32)}
    assert 1e-6 < np.abs(output - expected).mean() < 0.01


def test_flat_images_give_finite_gradients(module, random_params):
    # One level an image: zero variance everywhere.
    images = np.broadcast_to(np.float32([0, 0.3, 1])[:, None, None, None], (3, 16, 16, 3))
    params = random_params(module, images)

    def total(params, images):
        output, taps = module.apply({"params": params}, images, taps=True)
        return output.sum() + sum(tap.sum() for tap in taps)

    for gradient in jax.tree.leaves(jax.jit(jax.grad(total, (0, 1)))(params, images)):
        assert np.isfinite(gradient).all()


def test_every_parameter_has_a_gradient(module, random_params):
    images = random_images()
    params = random_params(module, images)

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.square(module.apply({"params": params}, images)).sum()

    gradients = gradient(params)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        layer, kind = (key.key for key in path)
        # A bias in front of an instance norm is subtracted with the mean.
        if kind != "bias" or layer.replace("conv", "norm") not in params:
            assert np.abs(gradient).max() > 1e-3, path


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (jnp.zeros((1, 15, 16, 3)), ValueError, "at least 16 px"),
        (jnp.zeros((1, 16, 16, 4)), ValueError, "N, H, W, 3"),
        (jnp.zeros((16, 16, 3)), ValueError, "N, H, W, 3"),
        (jnp.zeros((1, 16, 16, 3), jnp.uint8), TypeError, "uint8"),
    ],
    ids=["side", "channels", "rank", "type"],
)
def test_other_images_raise(module, images, error, message):
    with pytest.raises(error, match=message):
        module.init(jax.random.key(0), images)


def test_contrast_is_stretched_about_the_mean():
    images = random_images()
    np.testing.assert_allclose(
        stretch_contrast(images, spatial_mean(images)),
        references.stretch_contrast(images.astype(np.float64)),
        atol=1e-6,
    )
    flat = np.full((1, 16, 16, 3), 0.3, np.float32)
    np.testing.assert_allclose(stretch_contrast(flat, spatial_mean(flat)), flat, atol=1e-6)


def test_contrast_equals_released_code(goldens):
    golden = goldens("models_enhancement")
    images, key = golden["rand_61x83"], "adjust_contrast_rand_61x83"
    np.testing.assert_allclose(
        stretch_contrast(images, spatial_mean(images)), golden[key], atol=2e-6
    )
