"""Every network in every format compared with JAX, with random parameters."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from jax import export

import ppcn_jax
from ppcn_jax.export import onnx_parts
from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.mobile_layers import spread_channels
from ppcn_jax.export.onnx import run_onnx, to_onnx
from ppcn_jax.export.onnx_parts import run_onnx_parts, to_onnx_parts
from ppcn_jax.export.stablehlo import PLATFORMS, run_stablehlo, to_stablehlo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.tflite_file import read_metadata
from ppcn_jax.graphs import networks
from ppcn_jax.inference.enhance import enhance
from ppcn_jax.models.super_resolver import depth_to_space
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
    "runtime",
}
# Written by jax 0.10.2 on 2026-11-30, with what the network gave then.
KEPT = pathlib.Path(__file__).parent / "kept" / "student_2026-11.stablehlo"

# Those of LiteRT's GPU accelerator that networks like ours are made of; it grew out of
# tensorflow/lite/delegates/gpu/common/model_builder.cc, which lists them.
GPU_OPERATORS = {
    *("ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "LEAKY_RELU", "MIRROR_PAD", "MUL"),
    *("PAD", "RELU", "RELU_0_TO_1", "RESHAPE", "RSQRT", "SLICE", "STRIDED_SLICE", "SUB", "SUM"),
    *("SQUARE", "TANH", "TRANSPOSE_CONV"),
}

# Height, width and number of images; the sides are multiples of every scale, or of none.
EVEN, ODD = (24, 36, 2), (31, 41, 1)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def model(request, random_params):
    name, settings = request.param
    module = make_network(name, settings)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model(name, "paper", settings, params, "random")


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
    assert networks.NETWORKS.keys() == {name for name, _ in CASES} == NETWORKS.keys()


def test_onnx_accepts_any_size(model, batches, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(model))
    run = run_onnx(path, threads=1)
    for size in (EVEN, ODD):
        assert_same(run, *batches[size])


def test_onnx_parts_in_bands(model, batches, monkeypatch):
    monkeypatch.setattr(onnx_parts, "_BAND", 9)
    path = pathlib.Path("model.onnx")
    if model.name in ("srcnn", "vdsr"):
        with pytest.raises(InputError, match=f"a {model.name} uses no statistics"):
            to_onnx_parts(model, path)
        return
    parts = to_onnx_parts(model, path)
    run = run_onnx_parts(model, parts, threads=1)
    for size in (EVEN,) if "scale" in model.settings else (EVEN, ODD):
        assert_same(run, *batches[size])
    files = [onnx.load_from_string(content) for content in parts.values()]
    *passes, last = [[value.name for value in file.graph.input] for file in files]
    # Each pass takes what the passes before it return.
    for number, taken in enumerate(passes):
        assert taken[0] == "images" and len(taken) <= 1 + 2 * number
    assert len(last) > 1
    properties = {item.key: item.value for item in files[-1].metadata_props}
    plan = json.loads(properties["statistics"])
    assert [item["file"] for item in plan["passes"]] == [p.name for p in parts][:-1]
    assert plan["border"] == (10 if model.settings.get("padding") == "reflect" else 0)


def test_onnx_metadata(model, tmp_path):
    file = onnx.load_from_string(to_onnx(model))
    properties = {item.key: item.value for item in file.metadata_props}
    assert properties.keys() == METADATA
    assert f"opset {file.opset_import[0].version}" in properties["runtime"]
    assert properties["network"] == model.name
    assert json.loads(properties["settings"]) == model.settings
    sides = [dim.dim_param for dim in file.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", "height", "width", ""]


def test_stablehlo_accepts_any_size(model, batches, tmp_path):
    path = tmp_path / "model.stablehlo"
    path.write_bytes(to_stablehlo(model))
    run = run_stablehlo(path)
    for size in (EVEN,) if "scale" in model.settings else (EVEN, ODD):
        assert_same(run, *batches[size])
    exported = export.deserialize(bytearray(path.read_bytes()))
    assert json.loads(exported.fun_name).keys() == METADATA
    assert exported.platforms == PLATFORMS


def test_a_stablehlo_file_of_an_older_version_is_read():
    with np.load(KEPT.with_suffix(".npz")) as then:
        assert_same(run_stablehlo(KEPT), then["images"], then["result"])
    metadata = json.loads(export.deserialize(bytearray(KEPT.read_bytes())).fun_name)
    assert "promise to read it until 2027-05-29" in metadata["runtime"], "write a new file"


def test_a_stablehlo_file_does_not_name_folders(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    content = to_stablehlo(Model("student", "paper", {}, params, "random"))
    assert b"enhancer.py" in content  # where an operation comes from
    assert str(pathlib.Path(ppcn_jax.__file__).parent).encode() not in content
    assert jax.config.values["jax_hlo_source_file_canonicalization_regex"] is None


def test_stablehlo_refuses_sides_that_are_not_multiples_of_the_scale(random_params, tmp_path):
    module = make_network("super_resolver")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    path = tmp_path / "model.stablehlo"
    path.write_bytes(to_stablehlo(Model("super_resolver", "paper", {}, params, "random")))
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
    operators, ranks = content_of_graph(path)
    assert operators <= GPU_OPERATORS and max(ranks) <= 4


def content_of_graph(path):
    """Names of the operators of a TFLite file, and ranks of its arrays."""
    found = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    (graph,) = found.subgraphs
    operators = {
        names[found.operatorCodes[each.opcodeIndex].builtinCode] for each in graph.operators
    }
    return operators, {0 if tensor.shape is None else len(tensor.shape) for tensor in graph.tensors}


def test_channels_are_spread_as_by_depth_to_space():
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 18)).astype(np.float32)
    np.testing.assert_array_equal(spread_channels(x, 3), depth_to_space(jnp.asarray(x), 3))


def test_files_give_what_enhance_gives(random_params, tmp_path):
    module = make_network("teacher", {"padding": "reflect"})
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    model = Model("teacher", "paper", {"padding": "reflect"}, params, "random")
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
        assert f"by {model.settings.get('scale', 4)} a side" in properties["input"]
