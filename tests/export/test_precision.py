"""TFLite files with float16 or int8."""

import jax.numpy as jnp
import numpy as np
import pytest
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema

from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.verify import compare
from ppcn_jax.weights.model import Model, make_network

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def model(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model("student", "paper", module, params, "random")


@pytest.fixture(scope="module")
def images(model):
    return [as_input(model, synthetic_photo(HEIGHT, WIDTH)[::step]) for step in (1, -1)]


def export_as(model, path, precision, calibration=()):
    content = to_tflite(
        model, height=HEIGHT, width=WIDTH, precision=precision, calibration=calibration
    )
    path.write_bytes(content)
    return content


def test_float16_halves_the_kernels_and_nothing_else(model, images, tmp_path):
    path = tmp_path / "half.tflite"
    content = export_as(model, path, "float16")
    file = schema.ModelT.InitFromPackedBuf(content, 0)
    tensors = file.subgraphs[0].tensors
    halves = [t for t in tensors if t.type == schema.TensorType.FLOAT16]
    kernels = [layer["kernel"] for layer in model.params.values() if "kernel" in layer]
    assert sorted(np.prod(t.shape) for t in halves) == sorted(k.size for k in kernels)
    others = {t.type for t in tensors} - {schema.TensorType.FLOAT16, schema.TensorType.INT32}
    assert others == {schema.TensorType.FLOAT32}
    rounded = {
        name: {"kernel": np.float32(np.float16(layer["kernel"])), "bias": layer["bias"]}
        if "kernel" in layer
        else layer
        for name, layer in model.params.items()
    }
    run = run_tflite(path, threads=1)
    same = Model("student", "paper", model.module, rounded, "random, kernels rounded")
    assert compare(clipped(same), run, images).largest <= 1e-5
    assert 1e-5 < compare(clipped(model), run, images).largest < 1 / 255


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_tensors_have_names(model, images, tmp_path, precision):
    path = tmp_path / "named.tflite"
    export_as(model, path, precision)
    runner = interpreter.Interpreter(model_path=str(path)).get_signature_runner()
    assert runner(images=images[0])["result"].shape == images[0].shape


def test_int8(model, images, tmp_path):
    path = tmp_path / "eighth.tflite"
    content = export_as(model, path, "int8", images)
    types = {t.type for t in schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0].tensors}
    assert schema.TensorType.INT8 in types
    difference = compare(clipped(model), run_tflite(path, threads=1), images)
    assert 15 < difference.psnr < 60
