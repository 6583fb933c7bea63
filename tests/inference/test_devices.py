"""Several devices compute what one device does: the rows of one image, or many images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppcn_jax.inference import devices as devices_module
from ppcn_jax.inference.devices import apply_batch, apply_sharded
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.weights.model import make_network

NETWORKS = {
    "student": (64, 61, 203),
    "teacher": (61,),
    "dped_resnet": (61,),
    "srcnn": (61,),
    "super_resolver": (64, 100, 204),
}


@pytest.mark.parametrize(
    ("name", "height"), [(name, h) for name, heights in NETWORKS.items() for h in heights]
)
def test_four_devices_share_the_rows_of_an_image(name, height, random_params):
    settings = {"blocks": 2, "features": 8} if name == "dped_resnet" else {}
    module = make_network(name, settings)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    image = np.random.default_rng(0).random((height, 24, 3), np.float32)
    image *= np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]
    expected = np.asarray(jax.jit(module.apply)({"params": params}, image[None])[0])
    output = apply_sharded(module, params, image, jax.devices()[:4])
    assert output.shape == image.shape and output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


@pytest.mark.parametrize(
    ("name", "count"), [("student", 4), ("student", 1), ("teacher", 6), ("super_resolver", 3)]
)
def test_four_devices_share_a_batch(name, count, random_params):
    module = make_network(name)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    images = np.random.default_rng(0).random((count, 33, 29, 3), np.float32)
    images *= np.linspace(0.2, 1, count, dtype=np.float32)[:, None, None, None]
    expected = np.stack([apply_network(module, params, image) for image in images])
    outputs = apply_batch(module, params, images, jax.devices()[:4])
    assert outputs.shape == images.shape and outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


def test_devices_that_share_a_batch_do_not_communicate(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    images = jnp.zeros((4, 16, 16, 3))
    devices = NamedSharding(
        Mesh(np.asarray(jax.devices()[:4]), ("devices",)), PartitionSpec("devices")
    )
    lowered = devices_module._apply_batch.lower(module, params, jax.device_put(images, devices))
    program = lowered.compile().as_text()
    assert "convolution" in program and "num_partitions=4" in program
    assert not any(word in program for word in ("all-reduce", "all-gather", "collective-permute"))
