"""The table of networks in all runtimes and as files. No times."""

import json

import numpy as np
import pytest
from PIL import Image

from ppcn_jax.benchmark import exports
from ppcn_jax.benchmark.random_weights import random_model
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.inference.enhance import apply_model
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.safetensors_file import write_native

SIZE = (32, 48)
# Without int8, whose ranges take a minute, and one of the two that differ in few bytes.
FILES = ("ONNX Runtime", "LiteRT, float16", "StableHLO")


@pytest.fixture
def few_files(monkeypatch):
    monkeypatch.setattr(exports, "FILES", {name: exports.FILES[name] for name in FILES})


def in_jax(model, image):
    """In place of PyTorch, which the tests do without."""
    return apply_model(image, model, "jax").astype(np.float64)


def test_one_command_measures_all_runtimes(tmp_path, few_files, monkeypatch, capsys):
    monkeypatch.setattr(exports, "missing_packages", lambda name: [])
    monkeypatch.setattr(exports, "in_float64", in_jax)
    write_native(tmp_path / "student.safetensors", random_model("student"))
    Image.fromarray(synthetic_photo(*SIZE)).save(tmp_path / "photo.png")
    weights, photo = (str(tmp_path / name) for name in ("student.safetensors", "photo.png"))
    output = ["--output", str(tmp_path / "files"), "--sizes", "48x32", "--runs", "1"]
    exports.main([weights, "--photos", photo, *output])
    results = json.loads((tmp_path / "files" / "exports.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == ["JAX", "OpenVINO", *FILES] and results["machine"]["cores"] >= 1
    for name, row in rows.items():
        assert row["task"] == "student and its files, 48x32" and row["problem"] is None
        assert row["milliseconds"] > 0 and row["ratio"] > 0
        limit = 1 / 255 if "float16" in name else 1e-4
        # The evaluation in place of float64 is that of JAX.
        assert row["error"] == row["difference"] <= limit
    assert rows["JAX"]["error"] == 0 < rows["LiteRT, float16"]["error"]
    files = sorted((tmp_path / "files").glob("student-*"))
    sizes = sorted(row["kilobytes"] for row in rows.values() if row["kilobytes"])
    assert sizes == sorted(file.stat().st_size / 1000 for file in files) and len(sizes) == 3
    assert rows["OpenVINO"]["kilobytes"] is None
    printed = capsys.readouterr().out
    assert "| task | with | ms | ratio | difference | error | kB |" in printed
    assert "student and its files, 48x32: JAX: ms " in printed


def test_reasons_stand_in_place_of_what_cannot_run(tmp_path, few_files, monkeypatch):
    def check_available(needed):
        # 43 results of convolutions for each pixel.
        assert needed == 3 * 4 * 43 * SIZE[0] * SIZE[1]
        raise InputError("needs more than 1.0 GB of memory")

    monkeypatch.setitem(exports.FORMATS, "tflite", (".tflite", ("tensorflow", "absent_package")))
    monkeypatch.setattr(exports, "check_available", check_available)
    monkeypatch.setattr(exports, "missing_packages", lambda name: ["torch"])
    photos = [synthetic_photo(*SIZE)]
    rows = list(exports.measure_exports(random_model("student"), photos, tmp_path, rounds=1))
    problems = {row["name"]: row["problem"] for row in rows}
    memory = "InputError: needs more than 1.0 GB of memory"
    assert problems["JAX"] is problems["OpenVINO"] is None
    assert problems["ONNX Runtime"] == problems["StableHLO"] == memory
    assert (
        "absent_package is not installed: run pip install '.[tflite]'"
        in problems["LiteRT, float16"]
    )
    assert "torch is not installed" in problems["float64"]
    assert all(row["error"] is None for row in rows) and not list(tmp_path.iterdir())


def test_large_photos_have_no_error(monkeypatch):
    monkeypatch.setattr(exports, "missing_packages", lambda name: [])
    monkeypatch.setattr(exports, "in_float64", in_jax)
    model = random_model("student")
    image = as_input(model, synthetic_photo(*SIZE))[0]
    assert exports._in_float64(model, image).shape == image.shape
    monkeypatch.setattr(exports, "WHOLE_PIXELS", SIZE[0] * SIZE[1] - 1)
    with pytest.raises(InputError, match="more than 2 megapixels, it takes too much memory"):
        exports._in_float64(model, image)


def test_a_mistake_ends_with_a_message(tmp_path):
    with pytest.raises(SystemExit, match=r"absent\.png"):
        exports.main(["student", "--photos", str(tmp_path / "absent.png")])
