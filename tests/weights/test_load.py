"""Loading weights from every supported source, and the native file."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors
import safetensors.numpy

import ppcn_jax
from configs import student
from ppcn_jax import command
from ppcn_jax.configuration.workdir import claim_workdir
from ppcn_jax.export.contract import describe
from ppcn_jax.inference import enhance as inference
from ppcn_jax.inference import streaming
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.optimizers import adam
from ppcn_jax.steps.state import init_state
from ppcn_jax.weights.checkpoints import Checkpoints
from ppcn_jax.weights.load import convert, load_model
from ppcn_jax.weights.model import NETWORKS, Model, make_network
from ppcn_jax.weights.safetensors_file import read_native, write_native
from tests.states import save


@pytest.fixture
def model(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model("student", "paper", {}, params, "somewhere")


@pytest.fixture
def workdir(tmp_path, model):
    """A training run with checkpoints of steps 0 and 1."""
    config = student.get_config()
    claim_workdir(tmp_path / "run", config, {}, write=True)
    optimizers = {"generator": adam(optax.constant_schedule(1e-3))}
    with Checkpoints(tmp_path / "run", keep=2) as checkpoints:
        state = jax.device_get(init_state({"generator": model.params}, optimizers))
        save(checkpoints, state)
        save(checkpoints, state.replace(step=jnp.int32(1)))
    return tmp_path / "run"


def assert_same(loaded, model):
    assert (loaded.name, loaded.preset, loaded.module) == (model.name, model.preset, model.module)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, model.params)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_is_restored_from_its_file(name, tmp_path, random_params):
    others = {"dped_resnet": {"blocks": 2, "features": 16}, "student": {"padding": "reflect"}}
    params = random_params(make_network(name, others.get(name)), jnp.zeros((1, 16, 16, 3)))
    model = Model(name, "released", others.get(name, {}), params, "x.ckpt")
    write_native(tmp_path / "x.safetensors", model)
    loaded = load_model(tmp_path / "x.safetensors")
    assert_same(loaded, model)
    assert loaded.settings == model.settings
    assert loaded.source == str(tmp_path / "x.safetensors")


def test_metadata_of_a_native_file(model, tmp_path):
    write_native(tmp_path / "x.safetensors", model)
    assert (tmp_path / "x.safetensors").stat().st_size < 13_000
    with safetensors.safe_open(tmp_path / "x.safetensors", framework="numpy") as file:
        metadata = file.metadata()
        assert set(file.keys()) >= {"conv0/kernel", "norm3/shift"}
    assert metadata["network"] == "student"
    assert json.loads(metadata["settings"]) == {"padding": "zeros"}
    assert (metadata["preset"], metadata["source"]) == ("paper", "somewhere")


@pytest.mark.parametrize(
    "source", ["/home/me/runs/mine (step 4)", "gs://me/mine (step 4)", r"C:\me\mine (step 4)"]
)
def test_files_for_other_people_do_not_name_folders(model, tmp_path, source):
    model = dataclasses.replace(model, source=source)
    write_native(tmp_path / "x.safetensors", model)
    with safetensors.safe_open(tmp_path / "x.safetensors", framework="numpy") as file:
        assert file.metadata()["source"] == "mine (step 4)"
    assert describe(model, runtime="any")["source"] == "mine (step 4)"


def test_a_file_of_an_older_version_has_no_padding_and_means_zeros(model, tmp_path):
    path = tmp_path / "x.safetensors"
    write_native(path, model)
    rewrite(path, metadata={"settings": "{}"})
    assert load_model(path).module.padding == "zeros"


def rewrite(path, *, metadata=None, **arrays):
    """Change a native file; array names have __ for /, and None removes an array."""
    with safetensors.safe_open(path, framework="numpy") as file:
        old_metadata = file.metadata()
    tensors = safetensors.numpy.load_file(path)
    for name, array in arrays.items():
        tensors[name.replace("__", "/")] = array
    tensors = {name: array for name, array in tensors.items() if array is not None}
    safetensors.numpy.save_file(tensors, path, {**old_metadata, **(metadata or {})})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv0__kernel": None}, "conv0/kernel is missing"),
        ({"conv9__kernel": np.zeros(3, np.float32)}, "conv9/kernel is not part of a Student"),
        ({"conv4__bias": np.zeros(4, np.float32)}, r"conv4/bias has shape \(4,\), expected \(3,\)"),
        ({"conv4__bias": np.full(3, np.inf, np.float32)}, "conv4/bias has values .* not finite"),
        ({"metadata": {"format": "other"}}, "not written by ppcn-jax convert.*'other'"),
        ({"metadata": {"network": "pupil"}}, "unknown network 'pupil'"),
        ({"metadata": {"settings": '{"depth": 3}'}}, "student has no setting depth"),
        (
            {"metadata": {"settings": '{"padding": "edge"}'}},
            "student has padding 'edge'; it must be zeros or reflect",
        ),
        ({"metadata": {"settings": "{"}}, "damaged metadata"),
    ],
    ids=["missing", "foreign", "shape", "inf", "format", "network", "setting", "padding", "json"],
)
def test_a_wrong_native_file_is_refused(model, tmp_path, change, message):
    path = tmp_path / "x.safetensors"
    write_native(path, model)
    rewrite(path, **change)
    with pytest.raises(InputError, match=message) as error:
        read_native(path)
    assert str(path) in str(error.value)


def test_a_truncated_native_file_is_refused(model, tmp_path):
    path = tmp_path / "x.safetensors"
    write_native(path, model)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"x\.safetensors cannot be read"):
        load_model(path)


def test_workdir_and_checkpoint(workdir, model):
    assert_same(load_model(workdir), model)
    assert load_model(workdir).source.endswith("run (step 1)")
    assert load_model(workdir / "checkpoints" / "0").source.endswith("run (step 0)")


def test_errors_name_the_path_and_the_problem(tmp_path, workdir):
    (tmp_path / "photo.jpg").write_bytes(b"x" * 100)
    for path, problem in (
        (tmp_path / "absent", r"does not exist\. Name"),
        ("techer", r"does not exist; did you mean teacher\? Name"),
        (tmp_path / "photo.jpg", "has an unknown format"),
        (tmp_path, "is not a training workdir"),
        (workdir / "checkpoints" / "7", "is no complete checkpoint; available steps: 0, 1"),
        (tmp_path / "x.safetensors", "cannot be read"),
    ):
        with pytest.raises(InputError, match=problem) as error:
            load_model(path)
        assert str(path) in str(error.value)


def test_convert_workdir(workdir, model, tmp_path, capsys):
    command.main(["convert", str(workdir), str(tmp_path / "new" / "student.safetensors")])
    assert "student, 2,715 parameters" in capsys.readouterr().out
    assert_same(load_model(tmp_path / "new" / "student.safetensors"), model)


def test_convert_refuses_another_suffix(workdir, tmp_path):
    with pytest.raises(InputError, match=r"x\.npz: .*safetensors"):
        convert(workdir, tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()


def test_failed_conversion_writes_nothing_and_names_the_file(tmp_path, model):
    destination = tmp_path / "y.safetensors"
    write_native(destination, model)
    before = destination.read_bytes()
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(SystemExit, match=r"ppcn-jax convert: .*bad\.safetensors"):
        command.main(["convert", str(tmp_path / "bad.safetensors"), str(destination)])
    assert destination.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.safetensors", "y.safetensors"]


def test_enhance_one_photo(model, tmp_path):
    write_native(tmp_path / "x.safetensors", model)
    photo = np.random.default_rng(0).random((17, 40, 3))
    enhanced = ppcn_jax.enhance(photo, tmp_path / "x.safetensors")
    assert enhanced.shape == photo.shape and enhanced.dtype == np.float32
    batch = photo[None].astype(np.float32)
    expected = np.asarray(model.module.apply({"params": model.params}, batch)[0])
    assert expected.min() < 0
    np.testing.assert_allclose(enhanced, expected.clip(0, 1), atol=1e-6)
    unclipped = ppcn_jax.enhance(photo, model, clip=False)
    np.testing.assert_allclose(unclipped, expected, atol=1e-6)


def test_enhance_with_another_padding(model):
    photo = np.random.default_rng(0).random((17, 40, 3), np.float32)
    zeros, reflect = (ppcn_jax.enhance(photo, model, padding=p) for p in ("zeros", "reflect"))
    np.testing.assert_array_equal(zeros, ppcn_jax.enhance(photo, model))
    continued = dataclasses.replace(model, settings={"padding": "reflect"})
    np.testing.assert_array_equal(reflect, ppcn_jax.enhance(photo, continued))
    assert np.abs(reflect - zeros).max() > 1e-3
    with pytest.raises(ValueError, match="must be 'zeros' or 'reflect', got 'edge'"):
        ppcn_jax.enhance(photo, model, padding="edge")
    params = jax.jit(make_network("srcnn").init)(jax.random.key(0), photo[None])["params"]
    srcnn = dataclasses.replace(model, name="srcnn", settings={}, params=params)
    with pytest.raises(ValueError, match="padding of a srcnn must be 'zeros', got 'reflect'"):
        ppcn_jax.enhance(photo, srcnn, padding="reflect")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_large_photo_is_sharded_or_streamed(model, monkeypatch, dtype):
    photo = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (60, 40, 3), dtype)
    expected = inference.enhance_levels([photo], model)[0]
    assert expected.dtype == dtype and expected.shape == photo.shape
    bands = []

    def stream(programs, image, *, band, keep):
        bands.append(band)
        return streaming.stream(programs, image, band=7, keep=keep)

    monkeypatch.setattr(inference, "stream", stream)
    monkeypatch.setattr(inference, "WHOLE_PIXELS", 0)
    shared = inference.enhance_levels([photo], model)[0]  # across the virtual devices of the tests
    assert not bands
    assert np.abs(shared.astype(int) - expected.astype(int)).max() <= np.iinfo(dtype).max * 1e-5 + 1

    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    banded = inference.enhance_levels([photo], model)[0]
    assert banded.dtype == dtype and len(bands) == 1
    difference = np.abs(banded.astype(int) - expected.astype(int)).max()
    assert difference <= np.iinfo(dtype).max * 1e-5 + 1
    floating = ppcn_jax.enhance(photo / np.iinfo(dtype).max, model)
    np.testing.assert_allclose(floating, banded / np.iinfo(dtype).max, atol=3e-3)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((20, 20, 3), np.uint8), TypeError, "uint8: divide by 255"),
        (np.zeros((20, 20)), ValueError, r"\[H, W, 3\]"),
        (np.zeros((20, 20, 4)), ValueError, r"\[H, W, 3\]"),
        (np.zeros((15, 20, 3)), ValueError, "at least 16"),
    ],
    ids=["uint8", "gray", "alpha", "small"],
)
def test_enhance_refuses_other_arrays(model, image, error, message):
    with pytest.raises(error, match=message):
        ppcn_jax.enhance(image, model)


def test_enhance_refuses_a_super_resolver(model):
    vdsr = dataclasses.replace(model, name="vdsr", settings={}, source="v.ckpt")
    with pytest.raises(InputError, match=r"v\.ckpt holds a vdsr; to enhance, name one of student"):
        ppcn_jax.enhance(np.zeros((20, 20, 3), np.float32), vdsr)


def test_misspelt_attribute_of_the_package():
    with pytest.raises(AttributeError, match="upscael"):
        _ = ppcn_jax.upscael
