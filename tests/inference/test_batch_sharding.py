"""Images of one size shared by several devices give what one device gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppcn_jax.inference import batch_sharding
from ppcn_jax.inference.batch_sharding import apply_batch
from ppcn_jax.inference.enhance import apply_network
from ppcn_jax.weights.model import make_network


@pytest.mark.parametrize(
    ("name", "count"), [("student", 4), ("student", 1), ("teacher", 6), ("super_resolver", 3)]
)
def test_four_devices_equal_one(name, count, random_params):
    module = make_network(name)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    images = np.random.default_rng(0).random((count, 33, 29, 3), np.float32)
    images *= np.linspace(0.2, 1, count, dtype=np.float32)[:, None, None, None]
    expected = np.stack([apply_network(module, params, image) for image in images])
    outputs = apply_batch(module, params, images, jax.devices()[:4])
    assert outputs.shape == images.shape and outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


def test_no_device_talks_to_another(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    images = jnp.zeros((4, 16, 16, 3))
    devices = NamedSharding(
        Mesh(np.asarray(jax.devices()[:4]), ("images",)), PartitionSpec("images")
    )
    lowered = batch_sharding._apply.lower(module, params, jax.device_put(images, devices))
    program = lowered.compile().as_text()
    assert "convolution" in program and "num_partitions=4" in program
    assert not any(word in program for word in ("all-reduce", "all-gather", "collective-permute"))
