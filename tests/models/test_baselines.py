"""The baselines against float64 references, and their structure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.models import DpedResnet, Srcnn, Vdsr
from tests.references import conv, instance_norm


def relu(x):
    return np.maximum(x, 0)


def srcnn(p, x):
    x = relu(conv(x, p["conv0"]))
    x = relu(conv(x, p["conv1"]))
    return 0.58 * np.tanh(conv(x, p["conv2"])) + 0.5


def vdsr(p, rgb):
    # Eight-bit RGB to YCbCr of ITU-R BT.601, and back with another Y.
    to_ycc = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112], [112, -93.786, -18.214]])
    offset = np.array([16, 128, 128])
    ycc = rgb @ to_ycc.T + offset
    x = y = ycc[..., :1] / 255
    for index in range(19):
        x = relu(conv(x, p[f"conv{index}"]))
    ycc[..., :1] = 255 * (y + conv(x, p["conv19"]))
    return (ycc - offset) @ np.linalg.inv(to_ycc).T


def dped_resnet(p, x):
    convolutions = sum(name.startswith("conv") for name in p)
    x = relu(conv(x, p["conv0"]))
    for i in range(1, convolutions - 3, 2):
        first = relu(instance_norm(conv(x, p[f"conv{i}"]), p[f"norm{i}"]))
        x = relu(instance_norm(conv(first, p[f"conv{i + 1}"]), p[f"norm{i + 1}"])) + x
    for i in (convolutions - 3, convolutions - 2):
        x = relu(conv(x, p[f"conv{i}"]))
    return 0.58 * np.tanh(conv(x, p[f"conv{convolutions - 1}"])) + 0.5


NETWORKS = {
    "srcnn": (Srcnn(), srcnn, 69_251),
    "vdsr": (Vdsr(), vdsr, 665_921),
    "dped": (DpedResnet(), dped_resnet, 401_475),
    "resnet_8_32": (DpedResnet(blocks=2, features=32), dped_resnet, 71_331),
}


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def random_images(shape=(2, 17, 23, 3)):
    return np.random.default_rng(0).random(shape, np.float32)


def test_number_of_parameters(name):
    module, _, count = NETWORKS[name]
    params = jax.eval_shape(module.init, jax.random.key(0), random_images())["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


@pytest.mark.parametrize("shape", [(2, 17, 23, 3), (1, 16, 16, 3)], ids=str)
def test_equals_float64_reference(name, random_params, shape):
    module, reference, _ = NETWORKS[name]
    images = random_images(shape)
    params = random_params(module, images)
    output = jax.jit(module.apply)({"params": params}, images)
    assert output.shape == shape and output.dtype == jnp.float32
    np.testing.assert_allclose(output, reference(params, images.astype(np.float64)), atol=2e-5)


def test_bfloat16_stays_close(name, random_params):
    module, _, _ = NETWORKS[name]
    images = random_images()
    params = random_params(module, images)
    output = jax.jit(module.clone(precision="bfloat16").apply)({"params": params}, images)
    expected = jax.jit(module.apply)({"params": params}, images)
    assert output.dtype == jnp.float32
    difference = np.abs(output - expected).mean()
    assert 0 < difference < 0.05 * np.std(expected)


def test_vdsr_leaves_the_colors_alone(random_params):
    images = random_images()
    params = random_params(Vdsr(), images)
    added = jax.jit(Vdsr().apply)({"params": params}, images) - images
    np.testing.assert_allclose(added[..., 0], added[..., 1], atol=1e-6)
    np.testing.assert_allclose(added[..., 0], added[..., 2], atol=1e-6)
    assert np.abs(added).max() > 0.01


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (jnp.zeros((1, 15, 16, 3)), ValueError, "at least 16 px"),
        (jnp.zeros((1, 16, 16, 1)), ValueError, "N, H, W, 3"),
        (jnp.zeros((1, 16, 16, 3), jnp.uint8), TypeError, "uint8"),
    ],
    ids=["side", "channels", "type"],
)
def test_other_images_raise(name, images, error, message):
    with pytest.raises(error, match=message):
        NETWORKS[name][0].init(jax.random.key(0), images)
