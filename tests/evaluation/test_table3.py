"""Table 3: rows, scores, files, published values, and errors that are raised before any work."""

import csv
import hashlib
import json

import jax.numpy as jnp
import numpy as np
import pytest

from configs import table3 as configs
from ppcn_jax.evaluation import paper, table3, timing
from ppcn_jax.evaluation.evaluate import evaluate, unchanged
from ppcn_jax.evaluation.paper import published_in_table3, weights_digest
from ppcn_jax.evaluation.tables import load_models
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.machine import device_name
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native

SIDE = 32


class Pairs:
    """Gray pictures and brighter ones; the first pair is identical."""

    names = ("a.png", "b.png")

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        image = np.full((SIDE, SIDE, 3), 100, np.uint8)
        return image, image + np.uint8(20 * index)


@pytest.fixture
def models(tmp_path, random_params):
    """Weights files of two students and an SRCNN: paths by name."""
    paths = {}
    for seed, (name, network) in enumerate(
        {"one": "student", "two": "student", "srcnn": "srcnn"}.items()
    ):
        module = make_network(network)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)), seed=seed)
        paths[name] = tmp_path / "models" / f"{name}.safetensors"
        write_native(paths[name], Model(network, "paper", {}, params, name))
    return paths


@pytest.fixture
def quick(monkeypatch):
    """Replace timing by constants; returns the list of (class, runs) that were timed."""
    timed = []

    def milliseconds(model, runtime, *, runs):
        assert runtime == "jax"  # the tests have several devices
        name = type(model.module).__name__
        timed.append((name, runs))
        return {"Srcnn": 600.0, "Student": 200.0}[name]

    monkeypatch.setattr(timing, "milliseconds", milliseconds)
    return timed


def request(paths):
    config = configs.get_config()
    config.models = ",".join(map(str, paths))
    return config


def test_rows_and_files(models, quick, tmp_path, capsys):
    rows = table3.run(request([models["one"], models["two"]]), tmp_path / "out", Pairs())
    assert [row["model"] for row in rows] == ["input", "one", "two"]
    assert quick == [("Srcnn", 10), ("Student", 10)]  # each network is timed once
    assert json.loads((tmp_path / "out" / "table3.json").read_text(encoding="utf-8")) == rows

    baseline, one, two = rows
    expected = evaluate(unchanged, Pairs())
    assert (baseline["psnr"], baseline["ms_ssim"]) == (expected["psnr"], expected["ms_ssim"])
    assert (baseline["infinite_psnr"], baseline["images"], baseline["parameters"]) == (1, 2, 0)
    assert baseline["milliseconds"] is baseline["score_a"] is None
    assert one["psnr"] != two["psnr"]
    for row in (one, two):
        assert (row["parameters"], row["network"]) == (2715, "student")
        assert (row["milliseconds"], row["speed_up"]) == (200.0, 3.0)
        scores = paper.enhancement_scores(row["psnr"], row["ms_ssim"], 3.0)
        assert [row["score_a"], row["score_b"], row["score_c"]] == [scores[x] for x in "ABC"]
        assert row["paper_psnr"] is None

    with open(tmp_path / "out" / "table3.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [row["model"] for row in read] == ["input", "one", "two"]
    assert float(read[1]["psnr"]) == one["psnr"] and read[0]["milliseconds"] == ""

    markdown = (tmp_path / "out" / "table3.md").read_text(encoding="utf-8")
    assert f"| one | 2,715 | {one['psnr']:.3f} | – |" in markdown
    assert "Mean PSNR excludes images with infinite PSNR" in markdown
    assert "1 of input" in markdown
    assert device_name() in markdown
    printed = capsys.readouterr().out
    assert all(f" {row['psnr']:.3f} " in printed for row in rows)
    assert all(f" {row['ms_ssim']:.4f} " in printed for row in rows)
    assert str(tmp_path / "out" / "table3.json") in printed and "…" not in printed


def test_the_speed_up_of_srcnn_is_1(models, quick, tmp_path):
    rows = table3.run(request([models["srcnn"]]), tmp_path, Pairs())
    assert rows[1]["speed_up"] == 1.0
    assert quick == [("Srcnn", 10)]


def test_models_with_equal_names_are_labeled_by_paths(models, tmp_path):
    other = tmp_path / "other" / "one.safetensors"
    other.parent.mkdir()
    other.write_bytes(models["two"].read_bytes())
    paths = f"{models['one']}, {other},{models['srcnn']}"
    loaded = load_models(paths, field="models", names=("student", "srcnn"), use="enhance")
    assert list(loaded) == [str(models["one"]), str(other), "srcnn"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (" , ", r"config\.models is empty"),
        ("{one},{one}", r"config\.models lists a model twice"),
        ("{one},absent", "absent does not exist"),
        ("{vdsr}", "holds a vdsr; to enhance"),
    ],
)
def test_errors_are_raised_before_any_work(models, quick, tmp_path, random_params, paths, message):
    module = make_network("vdsr")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    models["vdsr"] = tmp_path / "vdsr.safetensors"
    write_native(models["vdsr"], Model("vdsr", "released", {}, params, "v"))
    config = request([paths.format(**models)])
    with pytest.raises(InputError, match=message):
        table3.run(config, tmp_path / "out", Pairs())
    assert not quick and not (tmp_path / "out").exists()


def test_runs_must_be_positive(models, tmp_path):
    config = request([models["one"]])
    config.timing.runs = 0
    with pytest.raises(InputError, match=r"timing\.runs is 0"):
        table3.run(config, tmp_path, Pairs())


def test_challenge_scores():
    # Table 2: 28.13 dB, 0.9632, 654 ms against SRCNN's 3239 ms; the paper prints 12.84.
    score = paper.super_resolution_score(28.13, 0.9632, 3239 / 654)
    assert score == pytest.approx(12.84, abs=5e-3)
    # Computed by hand, with a speed-up above the maximum.
    scores = paper.enhancement_scores(22, 0.92, 5)
    assert scores == pytest.approx({"A": 14, "B": 17, "C": 17.6})
    assert paper.enhancement_scores(22, 0.92, 4) == scores
    assert paper.enhancement_scores(22, 0.92, 3)["C"] == pytest.approx(scores["C"] - 2.9)


def test_the_time_of_a_network_is_positive(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    model = Model("student", "paper", {}, params, "random")
    for runtime in ("jax", "openvino"):
        assert timing.milliseconds(model, runtime, runs=1, height=16, width=32) > 0


def test_digest_covers_names_and_values():
    params = {"conv0": {"kernel": np.float32([1, 2])}}
    model = Model("student", "paper", {}, params, "x")
    expected = hashlib.sha256(b"conv0/kernel" + np.array([1, 2], "<f4").tobytes()).hexdigest()
    assert weights_digest(model) == expected[:16]
    assert published_in_table3(model) is None


def test_released_weights_are_recognized_in_any_file(shared, tmp_path):
    released = load_model(shared / "checkpoints" / "student.ckpt")
    write_native(tmp_path / "renamed.safetensors", released)
    published = published_in_table3(load_model(tmp_path / "renamed.safetensors"))
    assert (published.psnr, published.ms_ssim, published.milliseconds) == (22.54, 0.9244, 392)
    names = "student_wo_kd teacher.ckpt baselines/dped_srcnn baselines/iphone_orig"
    rows = [
        published_in_table3(load_model(shared / "checkpoints" / name))
        for name in [*names.split(), "baselines/dped_resnet_8_32"]
    ]
    assert [row.psnr for row in rows] == [22.34, 22.96, 21.32, 22.17, 22.38]
