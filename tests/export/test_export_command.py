"""The command `ppcn-jax export` with real files."""

import dataclasses
import importlib.util
import os

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from PIL import Image

from ppcn_jax import command
from ppcn_jax.export import write
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.tflite import run_tflite
from ppcn_jax.export.tflite_file import read_metadata
from ppcn_jax.models.int8 import Ranges, in_int8
from ppcn_jax.weights.int8 import ranges_to_text
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native


@pytest.fixture(scope="module")
def weights(random_params, tmp_path_factory):
    """A student with random parameters, as a native file."""
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    path = tmp_path_factory.mktemp("weights") / "student.safetensors"
    write_native(path, Model("student", "paper", {}, params, "random"))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command in an empty folder; returns exit status, stdout and stderr.

    Those include what TensorFlow's libraries write.
    """
    monkeypatch.chdir(tmp_path)
    # Comparisons at the default size take seconds; one test below uses it.
    monkeypatch.setattr("ppcn_jax.export.command.DEFAULT_SIZE", (48, 64))

    def run_command(*arguments):
        status = 0
        try:
            command.main(["export", *map(str, arguments)])
        except SystemExit as end:
            status = 1 if isinstance(end.code, str) else end.code
            if isinstance(end.code, str):
                print(end.code, file=command.sys.stderr)
        written = capfd.readouterr()
        return status, written.out, written.err

    return run_command


def write_photos(folder, count):
    folder.mkdir()
    photo = synthetic_photo(50, 70)
    for index in range(count):
        Image.fromarray(np.roll(photo, 7 * index, axis=1)).save(folder / f"{index}.png")


@pytest.mark.parametrize("name", ["a.onnx", "a.stablehlo", "new folder/a.tflite"])
def test_writes_the_file_and_prints_the_comparisons(run, weights, tmp_path, name):
    status, out, err = run(weights, name)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert "student, 2,715 parameters" in lines[0]
    assert lines[1].startswith("64x48 against JAX: largest difference ")
    assert lines[2].startswith("101x75 against JAX") == (not name.endswith("tflite"))
    path = tmp_path / name
    assert lines[-1] == f"wrote {name}: {path.stat().st_size:,} bytes"
    assert [p.name for p in path.parent.iterdir() if p.is_file()] == [path.name]


def test_int8_is_calibrated_on_photos(run, weights, tmp_path):
    write_photos(tmp_path / "photos", 4)
    arguments = ["a.tflite", "--precision", "int8", "--size", "40x32", "--photos", "photos"]
    status, out, err = run(weights, *arguments)
    assert (status, err) == (0, "") and "\n40x32 against JAX" in out
    assert read_metadata("a.tflite")["precision"] == "int8"


def test_int8_takes_the_ranges_with_which_a_network_was_trained(run, tmp_path):
    model = load_model("student")
    ranges = dict.fromkeys(("conv1", "conv2", "conv3"), Ranges((-9.1, 9.0), (-12.0, 12.3)))
    about = {"int8_ranges": ranges_to_text(ranges)}
    write_native(tmp_path / "trained.safetensors", dataclasses.replace(model, about=about))
    arguments = ["a.tflite", "--precision", "int8", "--size", "40x32"]
    status, out, err = run("trained.safetensors", *arguments)  # without photos
    assert (status, err) == (0, "") and "\n40x32 against JAX" in out
    image = as_input(model, synthetic_photo(32, 40))
    module = in_int8(model.module, ranges)
    expected = np.asarray(jax.jit(module.apply)({"params": model.params}, image))
    # Sums are rounded differently, to the next value of a grid at times.
    differences = np.abs(run_tflite(tmp_path / "a.tflite", threads=1)(image) - expected.clip(0, 1))
    assert np.mean(differences > 1e-6) < 0.05


def test_a_failed_comparison_keeps_the_old_file(run, weights, tmp_path, monkeypatch):
    (tmp_path / "a.onnx").write_text("old", encoding="utf-8")

    def off(path, *, threads):
        return lambda images: images * np.float32(0.999)

    monkeypatch.setattr(write, "run_onnx", off)
    status, _, err = run(weights, "a.onnx", "--overwrite")
    assert status == 1 and "differs from JAX by more than float32 allows" in err
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_text(encoding="utf-8") == "old"


def test_overwrite(run, weights, tmp_path):
    (tmp_path / "a.onnx").write_text("old", encoding="utf-8")
    status, _, err = run(weights, "a.onnx")
    assert (status, err) == (1, "ppcn-jax export: a.onnx already exists; --overwrite replaces it\n")
    assert (tmp_path / "a.onnx").read_text(encoding="utf-8") == "old"
    assert run(weights, "a.onnx", "--overwrite")[0] == 0
    onnx.checker.check_model("a.onnx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.pb"], "name it *.onnx, *.tflite, *.stablehlo"),
        (["a.onnx", "--format", "tflite"], "the format tflite *.tflite"),
        (["a.onnx", "--precision", "int8"], "are for TFLite"),
        (["a.stablehlo", "--size", "64x48"], "are for TFLite"),
        (["a.tflite", "--precision", "int8"], "name them with --photos"),
        (["a.tflite", "--precision", "int8", "--photos", "photos/0.png"], "at least two photos"),
        (["a.onnx", "--photos", "none.jpg"], "none.jpg cannot be read"),
        (["a.onnx", "--photos", "notes.txt"], "notes.txt is not a readable"),
        (["folder.onnx"], "is a folder"),
        (["notes.txt/a.onnx"], "not a writable folder"),
    ],
)
def test_refused_before_anything_is_written(
    run, weights, tmp_path, monkeypatch, arguments, message
):
    (tmp_path / "notes.txt").write_text("not a photo", encoding="utf-8")
    (tmp_path / "folder.onnx").mkdir()
    write_photos(tmp_path / "photos", 1)
    before = sorted(tmp_path.rglob("*"))
    for name in ("to_onnx", "to_tflite", "to_stablehlo"):
        monkeypatch.setattr(write, name, None)
    status, _, err = run(weights, *arguments)
    assert status == 1 and message in err and err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", ["64", "64x", "0x48", "8x48", "64x48x3", "-64x48"])
def test_bad_size(run, weights, size):
    status, _, err = run(weights, "a.tflite", f"--size={size}")
    assert status == 2 and "is not a size" in err


def test_unknown_format(run, weights):
    assert run(weights, "a.pb", "--format", "coreml")[0] == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(run, weights, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    status, _, err = run(weights, "locked/a.onnx")
    assert status == 1 and "cannot be written" in err


@pytest.mark.parametrize(
    ("name", "package"), [("a.onnx", "onnxruntime"), ("a.tflite", "ai_edge_litert")]
)
def test_missing_extra(run, weights, monkeypatch, name, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == package else found(n, *a)
    )
    status, _, err = run(weights, name)
    extra = name.partition(".")[2]
    assert status == 1
    assert f"{extra} needs {package}: run pip install '.[{extra}]' in a clone" in err


@pytest.mark.parametrize("name", ["student", "teacher", "generator_all"])
def test_released_networks(run, shared, name):
    checkpoint = shared / "checkpoints" / f"{name}.ckpt"
    for suffix in ("onnx", "stablehlo", "tflite"):
        status, out, err = run(checkpoint, f"a.{suffix}")
        assert status == 0, err
        assert "64x48 against JAX" in out


# The teacher's four instance norms need exact sums over all pixels of a photo.
@pytest.mark.parametrize("network", ["student", "teacher"])
def test_an_onnx_file_at_full_size(run, shared, monkeypatch, network):
    monkeypatch.setattr("ppcn_jax.export.command.DEFAULT_SIZE", (720, 1280))
    status, out, _ = run(shared / "checkpoints" / f"{network}.ckpt", "a.onnx")
    assert status == 0 and "1280x720 against JAX" in out
