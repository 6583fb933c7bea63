"""VGG's features against the original code's numbers and a NumPy float64 version."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.models.vgg import Vgg, halve, kernel_shapes


def make_params(depth, seed=0):
    rng = np.random.default_rng(seed)
    params = {"mean": np.float32([120, 110, 100]), "std": np.float32([60, 50, 40])}
    for name, shape in kernel_shapes(depth).items():
        kernel = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / (9 * shape[2])))
        bias = rng.standard_normal(shape[3], np.float32) * np.float32(0.1)
        params[name] = {"kernel": kernel, "bias": bias}
    return params


def make_images(*shape, seed=0):
    return np.random.default_rng(seed).random((*shape, 3), np.float32)


def reference(params, images):
    """Nine shifted matrix products per convolution; pooling pads odd sides with -inf."""
    x = (images.astype(np.float64) * 255 - params["mean"]) / params["std"]
    names = [name for name in params if name.startswith("conv")]
    for name in names:
        if name[-1] == "1" and name != "conv1_1":
            n, h, w, c = x.shape
            x = np.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), constant_values=-np.inf)
            x = x.reshape(n, -(-h // 2), 2, -(-w // 2), 2, c).max(axis=(2, 4))
        if name != "conv1_1":
            x = np.maximum(x, 0)
        kernel, bias = params[name]["kernel"].astype(np.float64), params[name]["bias"]
        h, w = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = bias + sum(
            padded[:, dy : dy + h, dx : dx + w] @ kernel[dy, dx]
            for dy in range(3)
            for dx in range(3)
        )
    return x


@pytest.mark.parametrize(
    ("depth", "shape"), [(19, (1, 17, 26)), (16, (2, 17, 26)), (19, (2, 16, 31))]
)
def test_matches_reference(depth, shape):
    params, images = make_params(depth), make_images(*shape)
    expected = reference(params, images)
    features = Vgg(depth).apply({"params": params}, images)
    assert features.shape == (shape[0], -(-shape[1] // 8), -(-shape[2] // 8), 512)
    assert features.dtype == jnp.float32
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_matches_original_code(goldens, recipes):
    golden = goldens("vgg")
    params = {"mean": np.float32([123.68, 116.779, 103.939]), "std": np.ones(3, np.float32)}
    for name, (kernel, bias) in recipes.vgg_weights().items():
        params[name] = {"kernel": kernel, "bias": bias}
    images = (golden["images_u8"] / 255).astype(np.float32)
    apply = jax.jit(lambda p, x: Vgg().apply({"params": p}, x, capture_intermediates=True))
    features, state = apply(params, images)
    expected = golden["conv4_2"]
    np.testing.assert_allclose(features, expected, rtol=0, atol=5e-5 * np.abs(expected).max())
    for name in ("conv1_1", "conv1_2", "conv2_2", "conv3_4", "conv4_1", "conv4_2"):
        layer = np.asarray(state["intermediates"][name]["__call__"][0], np.float64)
        assert layer.shape == tuple(golden[f"{name}/shape"])
        mean, std = golden[f"{name}/channel_mean"], golden[f"{name}/channel_std"]
        np.testing.assert_allclose(layer.mean(axis=(1, 2)), mean, rtol=0, atol=5e-5 * std.max())
        np.testing.assert_allclose(layer.std(axis=(1, 2)), std, rtol=5e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("size", [(6, 8), (5, 8), (6, 7), (5, 7)])
def test_halving_and_its_gradient_equal_those_of_a_pooling_operation(size, dtype):
    # Few different values, so that many blocks have several maxima.
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-2, 3, (2, *size, 3)), dtype)
    y, pull_back = jax.vjp(halve, x)
    expected, pull_expected_back = jax.vjp(
        lambda x: nn.max_pool(x, (2, 2), (2, 2), padding=((0, 1), (0, 1))), x
    )
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == dtype
    g = jnp.asarray(rng.standard_normal(y.shape), dtype)
    np.testing.assert_array_equal(pull_back(g)[0], pull_expected_back(g)[0])


@pytest.mark.parametrize(("platform", "pools"), [("tpu", True), ("cpu", False), ("cuda", False)])
def test_only_tpus_pool(platform, pools):
    @jax.jit
    def gradient(x):
        return jax.grad(lambda x: jnp.sum(jnp.square(halve(x))))(x)

    lowered = gradient.trace(jnp.ones((1, 5, 6, 2))).lower(lowering_platforms=(platform,)).as_text()
    assert ("reduce_window" in lowered, "select_and_scatter" in lowered) == (pools, pools)


@pytest.mark.parametrize("position", range(4))
def test_halving_keeps_what_is_not_a_number(position):
    x = np.arange(4, dtype=np.float32)
    x[position] = np.nan
    assert np.isnan(halve(jnp.asarray(x.reshape(1, 2, 2, 1)))).all()


def test_rows_of_a_batch_are_independent():
    params, images = make_params(16), make_images(2, 16, 16)
    both = Vgg(16).apply({"params": params}, images)
    alone = Vgg(16).apply({"params": params}, images[1:])
    np.testing.assert_allclose(both[1:], alone, rtol=0, atol=1e-5 * np.abs(alone).max())


def test_low_precision_stays_close_and_returns_float32():
    params, images = make_params(16), make_images(1, 16, 16)
    exact = Vgg(16).apply({"params": params}, images)
    rough = Vgg(16, precision="bfloat16").apply({"params": params}, images)
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


def test_params_are_those_of_kernel_shapes():
    shapes = jax.eval_shape(Vgg(19).init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    kernels = {name: leaf["kernel"].shape for name, leaf in shapes.items() if name[0] == "c"}
    assert kernels == kernel_shapes(19)
    assert shapes["mean"].shape == shapes["std"].shape == (3,)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((16, 16, 3), np.float32), ValueError, r"\(16, 16, 3\)"),
        (np.zeros((1, 16, 16, 1), np.float32), ValueError, r"\(1, 16, 16, 1\)"),
        (np.zeros((1, 15, 16, 3), np.float32), ValueError, r"\(1, 15, 16, 3\)"),
        (np.zeros((1, 16, 16, 3), np.uint8), TypeError, "uint8"),
    ],
)
def test_wrong_images_raise(images, error, message):
    with pytest.raises(error, match=message):
        Vgg().init(jax.random.key(0), images)


def test_unknown_depth_raises():
    with pytest.raises(ValueError, match="16 or 19, got 11"):
        kernel_shapes(11)
