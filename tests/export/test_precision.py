"""TFLite files with float16 or int8."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema

from ppcn_jax.export import tflite
from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.tflite_file import Layer, quantize_convolutions
from ppcn_jax.export.verify import compare
from ppcn_jax.models.int8 import Grid, Ranges, grid_of, in_int8
from ppcn_jax.models.int8_ranges import candidates, find_ranges
from ppcn_jax.ops.portable import portable
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def model(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model("student", "paper", {}, params, "random")


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
    same = Model("student", "paper", model.settings, rounded, "random, kernels rounded")
    assert compare(clipped(same), run, images).largest <= 1e-5
    assert 1e-5 < compare(clipped(model), run, images).largest < 1 / 255


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_tensors_have_names(model, images, tmp_path, precision):
    path = tmp_path / "named.tflite"
    export_as(model, path, precision)
    runner = interpreter.Interpreter(model_path=str(path)).get_signature_runner()
    assert runner(images=images[0])["result"].shape == images[0].shape


@pytest.fixture(scope="module")
def trained():
    return load_model("student")


@pytest.fixture(scope="module")
def photos(images):
    """One with little contrast and a few lights, which normalization makes outliers of."""
    dull = 0.5 + 0.1 * (images[1] - 0.5)
    dull[:, 10:12, 20:22] = 1
    return [images[0], dull]


@pytest.fixture(scope="module")
def ranges(trained, photos):
    return find_ranges(trained.module, trained.params, photos, say=lambda line: None)


def quantized(model, ranges):
    """The network with convolutions in int8, in JAX, as a function of arrays."""

    @jax.jit
    def run(images):
        with portable():
            output = in_int8(model.module, ranges).apply({"params": model.params}, images)
        return jnp.clip(output, 0, 1)

    return lambda images: np.asarray(run(images))


def test_int8(trained, photos, ranges, tmp_path, monkeypatch):
    monkeypatch.setattr(tflite, "find_ranges", lambda *arguments: ranges)
    path = tmp_path / "eighth.tflite"
    content = export_as(trained, path, "int8", photos)
    graph = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]
    eighths = [t for t in graph.tensors if t.type == schema.TensorType.INT8]
    kernels = [t for t in eighths if len(t.quantization.scale) > 1]
    convolutions = [trained.params[f"conv{number}"]["kernel"].size for number in (1, 2, 3)]
    assert [np.prod(t.shape) for t in kernels] == convolutions
    assert len(eighths) == 3 * len(convolutions)  # with inputs and outputs
    run = run_tflite(path, threads=1)
    assert 30 < compare(clipped(trained), run, photos).psnr < 60
    # The file has the grids of JAX. Sums are rounded differently, to the next value at times; without
    # that, results differ by the rounding of norms, 5e-6 where these divide by little contrast.
    expected = quantized(trained, ranges)
    for image in photos:
        differences = np.abs(run(image) - expected(image))
        assert np.mean(differences > 1e-5) < 0.05
        assert -10 * np.log10(np.mean(differences**2)) > 65


def test_ranges_are_better_than_all_values(trained, photos, ranges):
    everything = {
        name: Ranges(*(tried[0] for tried in each))
        for name, each in candidates(trained.module, trained.params, np.concatenate(photos)).items()
    }

    def psnr(ranges):
        return compare(clipped(trained), quantized(trained, ranges), photos).psnr

    assert psnr(ranges) > psnr(everything) + 1.5
    assert ranges.keys() == everything.keys() == {"conv1", "conv2", "conv3"}


def test_grids_contain_zero_and_both_ends():
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        scale, zero_point = grid_of((low, high))
        values = scale * (np.arange(-128, 128) - zero_point)
        assert 0 in values
        assert values[0] <= min(low, 0) + scale / 2 and values[-1] >= max(high, 0) - scale / 2


def test_layers_are_found_by_their_kernels(model):
    content = to_tflite(model, height=HEIGHT, width=WIDTH)
    other = Layer(np.zeros((1, 7, 3, 8), np.float32), np.ones(8), Grid(1, 0), Grid(1, 0))
    with pytest.raises(ValueError, match="no kernel of the file is one of"):
        quantize_convolutions(content, [other])
