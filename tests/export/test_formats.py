"""Every network in every format compared with JAX, with random parameters."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from jax import export

from ppcn_jax.export import onnx_networks
from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.onnx import run_onnx, to_onnx
from ppcn_jax.export.stablehlo import PLATFORMS, run_stablehlo, to_stablehlo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.tflite_file import read_metadata
from ppcn_jax.inference.enhance import enhance
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import NETWORKS, Model, make_network

CASES = [
    ("student", {}),
    ("teacher", {}),
    ("student", {"padding": "reflect"}),
    ("teacher", {"padding": "reflect"}),
    ("dped_resnet", {"blocks": 4, "features": 8}),
    ("dped_resnet", {"blocks": 2, "features": 16}),
    ("srcnn", {}),
    ("vdsr", {}),
    ("super_resolver", {"scale": 2}),
    ("super_resolver", {"scale": 3}),
    ("super_resolver", {"scale": 4}),
]
METADATA = {
    "format",
    "network",
    "settings",
    "preset",
    "source",
    "license",
    "input",
    "output",
}


# Height, width and number of images; the sides are multiples of every scale, or of none.
EVEN, ODD = (24, 36, 2), (31, 41, 1)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def model(request, random_params):
    name, settings = request.param
    module = make_network(name, settings)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model(name, "paper", module, params, "random")


@pytest.fixture(scope="module")
def batches(model):
    """By size: inputs of the network with different means, and the results of JAX."""
    run = jax.jit(clipped(model))
    batches = {}
    for height, width, count in (EVEN, ODD):
        photo = synthetic_photo(height, width)
        photos = [photo // (1 + n) for n in range(count)]
        images = np.concatenate([as_input(model, photo) for photo in photos])
        result = np.asarray(run(images))
        # Otherwise results could agree because all of them are clipped or gray.
        assert np.mean((result > 0) & (result < 1)) > 0.2 and result.std() > 0.05
        batches[height, width, count] = images, result
    return batches


def assert_same(run, images, expected):
    result = run(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_every_network_has_an_onnx_graph():
    assert onnx_networks.NETWORKS.keys() == {name for name, _ in CASES} <= NETWORKS.keys()


def test_a_network_without_an_onnx_graph_is_refused(model):
    with pytest.raises(InputError, match="no ONNX graph of a new_network"):
        to_onnx(dataclasses.replace(model, name="new_network"))


def test_onnx_accepts_any_size(model, batches, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(model))
    run = run_onnx(path, threads=1)
    for size in (EVEN, ODD):
        assert_same(run, *batches[size])


def test_onnx_metadata(model, tmp_path):
    file = onnx.load_from_string(to_onnx(model))
    properties = {item.key: item.value for item in file.metadata_props}
    assert properties.keys() == METADATA
    assert make_network(properties["network"], json.loads(properties["settings"])) == model.module
    sides = [dim.dim_param for dim in file.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", "height", "width", ""]


def test_stablehlo_accepts_any_size(model, batches, tmp_path):
    path = tmp_path / "model.stablehlo"
    path.write_bytes(to_stablehlo(model))
    run = run_stablehlo(path)
    for size in (EVEN,) if hasattr(model.module, "scale") else (EVEN, ODD):
        assert_same(run, *batches[size])
    exported = export.deserialize(bytearray(path.read_bytes()))
    assert json.loads(exported.fun_name).keys() == METADATA
    assert exported.platforms == PLATFORMS


def test_stablehlo_refuses_sides_that_are_not_multiples_of_the_scale(random_params, tmp_path):
    module = make_network("super_resolver")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    path = tmp_path / "model.stablehlo"
    path.write_bytes(to_stablehlo(Model("super_resolver", "paper", module, params, "random")))
    with pytest.raises(ValueError, match=r"4\*h"):
        run_stablehlo(path)(np.zeros((1, 61, 64, 3), np.float32))


def test_tflite(model, batches, tmp_path):
    path = tmp_path / "model.tflite"
    height, width, _ = ODD
    path.write_bytes(to_tflite(model, height=height, width=width))
    assert_same(run_tflite(path, threads=1), *batches[ODD])
    metadata = read_metadata(path)
    assert metadata.keys() == METADATA | {"precision"}
    assert (metadata["network"], metadata["precision"]) == (model.name, "float32")


def test_files_give_what_enhance_gives(random_params, tmp_path):
    module = make_network("teacher", {"padding": "reflect"})
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    model = Model("teacher", "paper", module, params, "random")
    image = synthetic_photo(16, 16) / np.float32(255)
    expected = enhance(image, model)
    for write, run in (
        (to_onnx, functools.partial(run_onnx, threads=1)),
        (to_stablehlo, run_stablehlo),
    ):
        path = tmp_path / write.__name__
        path.write_bytes(write(model))
        assert_same(run(path), image[None], expected[None])


def test_metadata_describes_the_input(model):
    properties = {
        item.key: item.value for item in onnx.load_from_string(to_onnx(model)).metadata_props
    }
    enhances = model.name in ("student", "teacher", "dped_resnet", "srcnn")
    enlarges = model.name in ("super_resolver", "vdsr", "srcnn")
    assert ("the photo" in properties["input"]) == enhances
    assert ("bicubic enlargement" in properties["input"]) == enlarges
    if enlarges:
        assert f"by {getattr(model.module, 'scale', 4)} a side" in properties["input"]
