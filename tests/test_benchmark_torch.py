"""What the benchmark compares with in PyTorch computes what JAX does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.benchmark import torch_networks
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.networks import Model, make_network

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'ppcn-jax[bench]'")


def photos(height, width, channels=3):
    return np.random.default_rng(1).random((2, height, width, channels), np.float32)


def in_torch(module, images, **arguments):
    with torch.no_grad():
        return module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), **arguments)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(32, 48), (33, 50)])
def test_super_resolver(scale, size, random_params):
    module = make_network("super_resolver", {"scale": scale})
    images = photos(*size)
    params = random_params(module, images)
    expected = module.apply({"params": params}, images)
    model = Model("super_resolver", "paper", module, params, "random")
    found = in_torch(torch_networks.to_torch(model), images)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_enhancers(name, random_params):
    module, images = make_network(name), photos(29, 40)
    params = random_params(module, images)
    expected, taps = module.apply({"params": params}, images, taps=True)
    model = Model(name, "paper", module, params, "random")
    found, found_taps = in_torch(torch_networks.to_torch(model), images, taps=True)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=1e-5)
    for tap, expected_tap in zip(found_taps, taps, strict=True):
        np.testing.assert_allclose(tap[..., None], expected_tap, atol=1e-5)


@pytest.mark.parametrize("depth", [16, 19])
def test_vgg(depth, random_params):
    module, images = Vgg(depth), photos(20, 27)
    params = random_params(module, images)
    params["std"] = np.array([1, 2, 3], np.float32)
    expected = module.apply({"params": params}, images)
    found = in_torch(
        torch_networks.load_params(torch_networks.make_vgg(depth), params), images
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * jnp.abs(expected).max())


@pytest.mark.parametrize(("outputs", "first_norm", "crop"), [(1, True, 100), (2, False, 24)])
def test_discriminator(outputs, first_norm, crop, random_params):
    module, images = Discriminator(outputs, first_norm), photos(crop, crop, 1)
    params = random_params(module, images)
    expected = jax.jit(module.apply)({"params": params}, images)
    opponent = torch_networks.make_discriminator(crop, outputs, first_norm)
    found = in_torch(torch_networks.load_params(opponent, params), images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
