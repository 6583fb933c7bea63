"""The processor benchmark: rows, files and failures. No times."""

import itertools
import json
import pathlib
import xml.etree.ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import benchmark as configs
from ppcn_jax.benchmark import child, competitors, suite
from ppcn_jax.benchmark.floors import Work, layer_operations, least_seconds
from ppcn_jax.benchmark.parts import compilation, contextual, inference
from ppcn_jax.benchmark.peaks import Peaks, highest, measure_peaks
from ppcn_jax.benchmark.random_weights import random_model, with_random_networks
from ppcn_jax.benchmark.rows import FIELDS
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.weights.safetensors_file import write_native

SIZE = (32, 48)


COMPETITORS = ("ONNX Runtime", "OpenVINO", "OpenVINO file")


def request(**changed):
    """A configuration in which everything is as small as possible."""
    config = configs.get_config()
    small = {
        "competitors": ",".join(COMPETITORS),
        "rounds": 1,
        "peaks.side": 64,
        "peaks.size": 4096,
        "inference.height": SIZE[0],
        "inference.width": SIZE[1],
        "large_photos.sizes": (SIZE,),
        "large_photos.rounds": 1,
        "training.train.batch_size": 4,
        "training.data.crop": 16,
        "losses.sizes": ((2, 16, 12),),
        "losses.rounds": 1,
        "contextual.side": 5,
        "contextual.channels": 8,
    }
    config.update_from_flattened_dict(small | changed)
    return config


def batches():
    patches = np.random.default_rng(0).integers(0, 256, (1, 3, 20, 20, 3), np.uint8)
    return itertools.repeat({"input": patches, "target": patches, "id": np.zeros((1, 3))})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of one run, and its folder."""
    pytest.importorskip("onnxruntime")
    workdir = tmp_path_factory.mktemp("benchmark")
    # Compilation starts new processes and has a test of its own, as training has.
    parts = "inference,large_photos,loading,contextual"
    return suite.run(request(parts=parts), workdir, {"pairs": batches}), workdir


def test_rows(results):
    rows = results[0]["rows"]
    named = [(row["task"], row["name"]) for row in rows]
    networks = ("student", "teacher", "super-resolver")
    assert named == [
        *((f"{network}, 48x32", name) for network in networks for name in ("JAX", *COMPETITORS)),
        ("student in JAX, large photos; ratio: for a pixel", "48x32"),
        ("student in OpenVINO, large photos; ratio: for a pixel", "48x32"),
        ("input: batches of 3 pairs of 20x20", "pairs"),
        ("contextual loss and gradient, 5x5x8", contextual.WHOLE),
        ("contextual loss and gradient, 5x5x8", contextual.BLOCKS),
    ]
    for row in rows:
        assert tuple(row) == FIELDS and row["problem"] is None
        assert row["over_floor"] == pytest.approx(row["milliseconds"] / row["floor_milliseconds"])
        assert row["difference"] is None or row["difference"] <= 1e-4
    firsts = [next(group) for _, group in itertools.groupby(rows, key=lambda row: row["task"])]
    assert all(row["ratio"] in (1, None) for row in firsts)
    photo = next(row for row in rows if "large photos" in row["task"])
    assert photo["megabytes"] > 50  # Python and JAX alone


@pytest.mark.long
def test_rows_of_a_training_step(tmp_path):
    rows = suite.run(request(parts="training"), tmp_path, {})["rows"]
    assert [row["name"] for row in rows] == ["JAX", "JAX, bfloat16", "JAX, VGG alone"]
    for row, most in zip(rows[:2], (0, 0.05), strict=True):
        assert row["task"] == "student's training step, 4 of 16x16" and row["problem"] is None
        assert row["difference"] <= most
    assert rows[2]["note"].endswith("% of that step is outside of VGG")


def test_files(results):
    found, workdir = results
    assert json.loads((workdir / "benchmark.json").read_text(encoding="utf-8")) == found
    assert found["machine"]["packages"]["jax"] == jax.__version__
    assert found["machine"]["cores"] >= 1
    peaks = Peaks(**found["peaks"])
    for row in found["rows"]:
        floor = 1000 * least_seconds(Work(row["operations"], row["bytes"]), peaks)
        assert row["floor_milliseconds"] == pytest.approx(floor) and floor > 0
    text = (workdir / "benchmark.md").read_text(encoding="utf-8")
    assert found["machine"]["device"] in text and "GFLOP/s" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(found["rows"])
    assert "Not measured" not in text
    picture = xml.etree.ElementTree.parse(workdir / "benchmark.svg").getroot()
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")[1:]  # the first is the background
    assert len(bars) == sum(row["ratio"] is not None for row in found["rows"])


def test_competitors_that_are_not_installed_are_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(competitors, "missing_packages", lambda name: ["torch"])
    config = request(parts="contextual", competitors="PyTorch,PyTorch compiled")
    rows = suite.run(config, tmp_path, {})["rows"]
    skipped = [row for row in rows if row["problem"]]
    assert [row["name"] for row in skipped] == ["PyTorch", "PyTorch compiled"]
    assert len(rows) == 4
    for text in (capsys.readouterr().out, (tmp_path / "benchmark.md").read_text(encoding="utf-8")):
        assert "PyTorch: torch is not installed: run pip install '.[bench]' in a clone" in text


def test_only_what_the_parts_compare_with_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(competitors, "missing_packages", lambda name: ["absent"])
    rows = suite.run(request(parts="large_photos"), tmp_path, {})["rows"]
    assert [row["name"] for row in rows if row["problem"]] == ["OpenVINO"]


def test_a_competitor_that_fails_or_differs_is_reported(monkeypatch):
    def fails(model, image):
        raise OSError("no such\nlibrary")

    def differs(model, image):
        honest = competitors.open_jax(model, image)
        return lambda: honest() + np.float32(0.01)

    wanted = {"failing": fails, "different": differs, "honest": competitors.open_jax}
    monkeypatch.setattr(inference, "COMPETITORS", wanted)
    model = random_model("student")
    rows = list(inference.measure_inference(model, SIZE, list(wanted), rounds=1))
    assert [row["name"] for row in rows] == ["JAX", "honest", "failing", "different"]
    assert [row["difference"] for row in rows] == [0, 0, None, None]
    assert rows[2]["problem"] == "OSError: no such"
    assert "its output differs from JAX's by 1.0e-02" in rows[3]["problem"]
    assert rows[3]["milliseconds"] is None


def test_litert_runs_the_exported_file():
    rows = inference.measure_inference(random_model("student"), SIZE, ["LiteRT"], rounds=1)
    ours, other = rows
    assert (ours["name"], other["name"], other["problem"]) == ("JAX", "LiteRT", None)
    assert 0 < other["difference"] < 1e-5 and other["milliseconds"] > 0


def test_other_parts_run_after_a_failure(tmp_path, monkeypatch):
    def fails(*arguments, **keywords):
        raise RuntimeError("broken")
        yield

    monkeypatch.setattr(suite, "measure_loading", fails)
    rows = suite.run(request(parts="loading,contextual"), tmp_path, {})["rows"]
    assert rows[0]["task"] == "loading" and rows[0]["problem"] == "RuntimeError: broken"
    assert len(rows) == 3
    assert "* loading: RuntimeError: broken" in (tmp_path / "benchmark.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("parts", "inference,speed", "config.parts names 'speed'; known names are inference, "),
        (
            "competitors",
            "Torch",
            "config.competitors names 'Torch'; known names are ONNX Runtime, ",
        ),
        ("rounds", 0, "config.rounds is 0; it must be positive"),
        ("parts", "", "config.parts is empty; known parts are inference, "),
        ("models", "absent.safetensors", "absent.safetensors"),
        ("training.vgg.weights", "absent.npz", "absent.npz: no such file"),
    ],
)
def test_mistakes_are_reported_before_any_work(field, value, message, tmp_path):
    with pytest.raises(InputError, match=message):
        suite.run(request(**{field: value}), tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def test_accelerators_are_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(InputError, match="JAX_PLATFORMS=cpu"):
        suite.run(request(), tmp_path, {})


def test_competitors_are_timed_in_turn():
    called = []
    turns = {name: lambda name=name: called.append(name) for name in "abc"}
    assert take_turns(turns, rounds=2).keys() == turns.keys()
    assert called == list("aabbcc") * 2


def test_a_multiplication_and_addition_are_two_operations():
    images = jax.ShapeDtypeStruct((2, *SIZE, 3), jnp.float32)
    student = random_model("student")
    pixels = 2 * SIZE[0] * SIZE[1]
    assert layer_operations(student.module, student.params, images) == {
        "conv0": 2 * pixels * 7 * 3 * 8,
        "conv1": 2 * pixels * 7 * 8 * 8,
        "conv2": 2 * pixels * 7 * 8 * 16,
        "conv3": 2 * pixels * 7 * 16 * 8,
        "conv4": 2 * pixels * 9 * 8 * 3,
    }
    resolver = random_model("super_resolver")
    operations = layer_operations(resolver.module, resolver.params, images)
    assert operations["down0"] == 2 * (pixels // 4) * 9 * 3 * 32  # at half the height and width
    assert operations["pixels"] == 2 * (pixels // 16) * 9 * 32 * 48


def test_a_floor_is_the_longer_of_computing_and_moving_data():
    peaks = Peaks(flops=5, bandwidth=10)
    assert least_seconds(Work(operations=10, bytes=30), peaks) == 3
    assert least_seconds(Work(operations=20, bytes=30), peaks) == 4
    assert highest(Peaks(1, 4), Peaks(2, 3)) == Peaks(2, 4)
    peaks = measure_peaks(side=32, size=1024)
    assert peaks.flops > 0 and peaks.bandwidth > 0


def test_a_cold_start_and_the_cached_one_after_it_share_a_new_cache(tmp_path, monkeypatch):
    caches, answers = [], iter([8, 2, 10, 4])

    def run_child(task, file, *, environment):
        assert task == "first_step"
        values = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
        assert values["model"] == "student"
        caches.append(environment["JAX_COMPILATION_CACHE_DIR"])
        return next(answers)

    monkeypatch.setattr(compilation, "run_child", run_child)
    rows = list(compilation.measure_compilation(request().training, tmp_path, rounds=2))
    times = {row["name"]: row["milliseconds"] for row in rows}
    assert times == {"cold": 9e3, "cached": 3e3}
    assert caches[0] == caches[1] != caches[2] == caches[3]


def test_first_step_of_a_configuration_in_a_file(tmp_path):
    config = with_random_networks(request().training, tmp_path)
    write_json(tmp_path / "config.json", json.loads(config.to_json()))
    assert child.seconds_to_first_step(str(tmp_path / "config.json")) > 0


def test_the_error_of_a_child_process_is_reported(tmp_path):
    write_native(tmp_path / "resolver.safetensors", random_model("super_resolver"))
    with pytest.raises(RuntimeError, match="photo ended with 1: .*InputError.*to enhance, name"):
        child.run_child("photo", "jax", str(tmp_path / "resolver.safetensors"), "32", "32")


def test_blocks_need_less_memory_and_the_constant_is_restored():
    before = contextual._MODULE.BLOCK_ENTRIES
    whole, blocks = contextual.measure_contextual(40, 4, rounds=1)
    assert contextual._MODULE.BLOCK_ENTRIES == before
    assert blocks["megabytes"] < whole["megabytes"]
    assert whole["difference"] == 0 and blocks["difference"] < 1e-3
