import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.models.layers import Conv, InstanceNorm, check_images
from ppcn_jax.ops.moments import spatial_mean, spatial_moments
from tests import references


def random_images(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("size", [(9, 12), (10, 7)], ids=str)
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [
        ((1, 7), 1, 1),
        ((7, 1), 1, 2),
        ((3, 3), 1, 2),
        ((2, 4), 1, 1),
        ((3, 3), 2, 1),
        ((5, 5), 2, 1),
        ((9, 9), 4, 1),
    ],
    ids=str,
)
def test_conv(random_params, size, kernel, stride, dilation):
    x = random_images((2, *size, 3))
    module = Conv(4, kernel, stride, dilation)
    params = random_params(module, x)
    y = module.apply({"params": params}, x)
    assert y.shape == (2, -(-size[0] // stride), -(-size[1] // stride), 4)
    expected = references.conv(x, params, stride=stride, dilation=dilation)
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_conv_before_a_norm_has_no_bias_and_no_gradient_of_it(random_params):
    x = random_images((2, 9, 12, 3))
    module = Conv(4, (3, 3), before_norm=True)
    params = random_params(module, x)
    y = module.apply({"params": params}, x)
    expected = references.conv(x, {**params, "bias": 0 * params["bias"]}, stride=1, dilation=1)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    gradient = jax.grad(lambda p: jnp.square(module.apply({"params": p}, x)).sum())(params)
    np.testing.assert_array_equal(gradient["bias"], 0)


def test_initialization():
    params = Conv(64, (9, 9)).init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    np.testing.assert_array_equal(params["bias"], np.float32(0.01))
    kernel = np.asarray(params["kernel"])
    # The normal distribution of deviation 0.01, cut at two deviations.
    assert np.abs(kernel).max() <= 0.02 and kernel.std() == pytest.approx(0.0088, rel=0.02)


def test_initialization_may_be_another():
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    module = Conv(4, (3, 3), kernel_init=ones, bias_init=zeros)
    params = module.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    np.testing.assert_array_equal(params["kernel"], np.float32(1))
    np.testing.assert_array_equal(params["bias"], np.float32(0))


def test_instance_norm(random_params):
    x = 3 * random_images((2, 9, 14, 5)) + 7
    module = InstanceNorm()
    params = random_params(module, x)
    y = module.apply({"params": params}, x)
    np.testing.assert_allclose(y, references.instance_norm(x, params), atol=1e-5)


def test_instance_norm_starts_as_plain_normalization():
    x = 3 * random_images((2, 9, 14, 5)) + 7
    module = InstanceNorm()
    y = module.apply(module.init(jax.random.key(0), x), x)
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1, atol=1e-3)


def test_bfloat16_statistics_are_float32():
    # In bfloat16, 400 additions of 1.0078 would stall at 256.
    x = jnp.full((1, 20, 20, 1), 1.0078125, jnp.bfloat16)
    assert spatial_mean(x).dtype == jnp.float32
    np.testing.assert_allclose(spatial_mean(x), 1.0078125, rtol=1e-6)
    module = InstanceNorm()
    y = module.apply(module.init(jax.random.key(0), x), x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(np.float32), 0, atol=1e-5)


def test_mean_of_a_large_image_keeps_its_digits():
    x = 0.2 + 0.6 * np.random.default_rng(0).random((1, 720, 1280, 1), np.float32)
    expected = x.astype(np.float64).mean()
    np.testing.assert_allclose(jax.jit(spatial_mean)(x)[0, 0, 0, 0], expected, rtol=2e-6)


# Means of 0, of up to 7 and of 1000 deviations; of a difference of squares, the last leaves nothing.
@pytest.mark.parametrize("means", [(0, 0), (7, -3), (0, 1000)])
@pytest.mark.parametrize("count", [1, 2])
def test_variance_keeps_its_digits(means, count):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((count, 120, 160, 2)) + means).astype(np.float32)
    mean, variance = jax.jit(spatial_moments)(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean[:, 0, 0], exact.mean(axis=(1, 2)), rtol=2e-6, atol=1e-8)
    np.testing.assert_allclose(variance[:, 0, 0], exact.var(axis=(1, 2)), rtol=5e-6)


def test_variance_of_one_value_is_zero():
    x = jnp.full((1, 32, 48, 1), 0.3)
    np.testing.assert_allclose(jax.jit(spatial_moments)(x)[1], 0, atol=1e-12)


def test_moments_leave_out_a_border():
    x = np.random.default_rng(0).random((2, 12, 17, 3), np.float32)
    expected = x[:, 4:-4, 4:-4].mean((1, 2)), x[:, 4:-4, 4:-4].var((1, 2))
    for found, value in zip(
        jax.jit(spatial_moments, static_argnums=1)(x, 4), expected, strict=True
    ):
        np.testing.assert_allclose(found[:, 0, 0], value, rtol=1e-5)


@pytest.mark.parametrize("mean", [1, 1000])
@pytest.mark.parametrize("count", [1, 2])
def test_derivatives_of_moments(mean, count):
    x = mean + np.random.default_rng(0).standard_normal((count, 17, 20, 3)).astype(np.float32)
    weights = np.random.default_rng(1).standard_normal((2, count, 1, 1, 3)).astype(np.float32)

    def loss(moments):
        return lambda x: jnp.sum(weights * jnp.stack(moments(x)))

    def plain(x):
        return x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)

    gradient = jax.jit(jax.grad(loss(spatial_moments)))(x)
    np.testing.assert_allclose(gradient, jax.grad(loss(plain))(x), rtol=1e-4, atol=1e-6)
    # An absolute difference of a sixth of the spacing of float32 at 1000.
    ours, theirs = (jax.jvp(moments, (x,), (x - mean,))[1] for moments in (spatial_moments, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_accepted(channels):
    check_images(jnp.zeros((1, 16, 17, channels), jnp.bfloat16), channels)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((16, 16, 3), 3), ((1, 16, 16, 4), 3), ((1, 16, 16, 3), 1), ((1, 1, 16, 16, 3), 3)],
    ids=str,
)
def test_another_layout_raises(shape, channels):
    with pytest.raises(ValueError, match=rf"N, H, W, {channels}"):
        check_images(jnp.zeros(shape), channels)


@pytest.mark.parametrize("size", [(15, 16), (16, 15), (0, 16)], ids=str)
def test_small_side_raises(size):
    with pytest.raises(ValueError, match="at least 16 px"):
        check_images(jnp.zeros((1, *size, 3)))


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32, bool])
def test_another_type_raises(dtype):
    with pytest.raises(TypeError, match="floating"):
        check_images(jnp.zeros((1, 16, 16, 3), dtype))
