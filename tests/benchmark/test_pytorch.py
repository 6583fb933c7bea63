"""The networks and the training step in PyTorch compute the same as those in JAX."""

import dataclasses
import importlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import student
from ppcn_jax.benchmark.accelerator import measure_steps
from ppcn_jax.benchmark.pytorch import networks as torch_networks
from ppcn_jax.benchmark.pytorch import training as torch_training
from ppcn_jax.benchmark.pytorch.inference import in_float64, open_torch
from ppcn_jax.benchmark.pytorch.ncnn import open_ncnn
from ppcn_jax.benchmark.pytorch.training import (
    allow_tensorfloat32,
    draws_of_step,
    make_torch_step,
)
from ppcn_jax.benchmark.random_weights import random_model, with_random_networks
from ppcn_jax.benchmark.training_steps import VGG, make_jax_step, make_setup, synthetic_batch
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.steps.state import without_guard
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.weights.model import Model, make_network

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[bench]'")


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
    model = Model("super_resolver", "paper", {"scale": scale}, params, "random")
    found = in_torch(torch_networks.to_torch(model), images)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["student", "teacher"])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_enhancers(name, padding, random_params):
    module, images = make_network(name, {"padding": padding}), photos(29, 40)
    params = random_params(module, images)
    expected, expected_maps = module.apply({"params": params}, images, taps=True)
    model = Model(name, "paper", {"padding": padding}, params, "random")
    found, maps = in_torch(torch_networks.to_torch(model), images, taps=True)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=1e-5)
    for attention, expected_attention in zip(maps, expected_maps, strict=True):
        np.testing.assert_allclose(attention[..., None], expected_attention, atol=1e-5)


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
    discriminator = torch_networks.make_discriminator(crop, outputs, first_norm)
    found = in_torch(torch_networks.load_params(discriminator, params), images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_training_step(tmp_path):
    config = student.get_config()
    config.train.batch_size, config.data.crop = 4, 24
    config = with_random_networks(config, tmp_path)
    experiment, batch = make_experiment(config), synthetic_batch(4, 24)
    in_jax = make_jax_step(experiment, batch)
    in_torch = make_torch_step(config, experiment)
    # Where a gradient is only rounding noise, Adam makes full steps of random sign, so the
    # second step differs more.
    for index, tolerance in enumerate((1e-4, 1e-3)):
        expected = without_guard(in_jax())
        found = in_torch(batch, draws_of_step(config.train.seed, index, 4))
        assert found.keys() == expected.keys() - {"psnr", "discriminator_accuracy"}
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=tolerance, err_msg=name)


def measured(folder, name):
    config = student.get_config()
    config.train.batch_size, config.data.crop = 4, 24
    setup = make_setup(with_random_networks(config, folder), name, ["PyTorch"])
    kernels = {}
    found = measure_steps("step", setup, 4, kernels, peak=1e9, rounds=1, steps=2)
    rows = {row["name"]: row for row in found}
    assert list(rows) == ["JAX", "PyTorch", VGG] or rows["PyTorch"]["problem"]
    assert kernels == {"step": []}
    return rows["PyTorch"]


@pytest.mark.parametrize(
    ("name", "least", "most"), [("float32", 0, 1e-4), ("bfloat16", 1e-5, 0.05)]
)
def test_steps_on_an_accelerator_compute_the_same(name, least, most, tmp_path):
    row = measured(tmp_path, name)
    assert row["problem"] is None and least <= row["difference"] <= most
    assert row["megabytes"] is None  # PyTorch reports them on GPUs only


def test_a_step_with_other_losses_is_not_timed(tmp_path, monkeypatch):
    def other(config, *arguments, **settings):
        config.objective.contextual.weight = 20.0
        return make_torch_step(config, *arguments, **settings)

    monkeypatch.setattr(torch_training, "make_torch_step", other)
    row = measured(tmp_path, "float32")
    assert "losses differ from JAX's" in row["problem"] and row["milliseconds"] is None


def test_tensorfloat32_is_set_for_matrices_and_convolutions():
    backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    for allowed, expected in ((True, "tf32"), (False, "ieee")):
        allow_tensorfloat32(allowed)
        assert [backend.fp32_precision for backend in backends] == [expected] * 2


def test_float64_is_closer_than_float32():
    model = random_model("teacher")
    image = photos(40, 56)[0]
    exact = in_float64(model, image)
    assert exact.dtype == np.float64
    assert 0 < np.abs(open_torch(model, image)() - exact).max() < 1e-5


def needs_ncnn():
    for package in ("ncnn", "pnnx"):
        pytest.importorskip(package, reason="needs ncnn: pip install '.[bench]'")


@pytest.mark.parametrize(
    ("name", "padding"),
    [
        *(("student", "zeros"), ("student", "reflect"), ("teacher", "zeros")),
        *(("teacher", "reflect"), ("super_resolver", None)),
    ],
)
def test_ncnn(name, padding):
    needs_ncnn()
    model = random_model(name)
    if padding:
        model = dataclasses.replace(model, settings={"padding": padding})
    image = photos(40, 56)[0]
    expected, run = open_torch(model, image)(), open_ncnn(model, image)
    for _ in range(2):  # the image in memory stays as it is
        np.testing.assert_allclose(run(), expected, atol=2e-5)


def test_means_of_large_photos_keep_their_digits_in_ncnn():
    needs_ncnn()
    model = random_model("student")
    image = np.tile(photos(60, 80)[0], (12, 16, 1))
    difference = open_ncnn(model, image)() - open_torch(model, image)()
    assert np.abs(difference).max() < 1e-4


def test_a_network_that_ncnn_cannot_run_says_so(monkeypatch):
    needs_ncnn()
    pnnx = importlib.import_module("pnnx")
    monkeypatch.setattr(pnnx, "EXEC_PATH", shutil.which("false"))
    with pytest.raises(RuntimeError, match="pnnx ended with 1"):
        open_ncnn(random_model("student"), photos(40, 56)[0])
