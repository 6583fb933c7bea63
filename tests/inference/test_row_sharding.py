"""An image shared by several devices gives what one device gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.inference.row_sharding import apply_sharded
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
def test_four_devices_equal_one(name, height, random_params):
    settings = {"blocks": 2, "features": 8} if name == "dped_resnet" else {}
    module = make_network(name, settings)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    image = np.random.default_rng(0).random((height, 24, 3), np.float32)
    image *= np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]
    expected = np.asarray(jax.jit(module.apply)({"params": params}, image[None])[0])
    output = apply_sharded(module, params, image, jax.devices()[:4])
    assert output.shape == image.shape and output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))
