"""Scores of images, their means, and the files and the picture of an evaluation."""

import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from configs import evaluate as evaluate_configs
from configs import teacher
from ppcn_jax.configuration.workdir import claim_workdir
from ppcn_jax.evaluation.evaluate import (
    COLUMNS,
    evaluate,
    make_runner,
    picture,
    run,
    score_image,
    summarize,
    unchanged,
)
from ppcn_jax.evaluation.faults import faults
from ppcn_jax.photos.strips import GAP, LABEL_HEIGHT
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.optimizers import adam
from ppcn_jax.steps.state import init_state
from ppcn_jax.weights.checkpoints import Checkpoints
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import make_network
from tests import references
from tests.states import save

SIDE = 16


class Pairs:
    """Pairs whose targets are brighter than the inputs by the given pixel values."""

    def __init__(self, *brighter):
        self.names = [f"{value}.png" for value in brighter]
        rng = np.random.default_rng(0)
        self._inputs = [rng.integers(0, 100, (SIDE, SIDE, 3), np.uint8) for _ in brighter]
        self._brighter = brighter

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        image = self._inputs[index]
        return image, image + np.uint8(self._brighter[index])


def decibels(difference):
    return 20 * math.log10(255 / difference)


def test_psnr_clips_the_output_and_ms_ssim_does_not():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (24, 20, 3), np.uint8)
    enhanced = unchanged(target) * 1.6 - 0.3  # in [-0.3, 1.3]
    score = score_image("a.png", enhanced, target)
    wide, t = np.float64(enhanced)[None], np.float64(unchanged(target))[None]
    assert score["name"] == "a.png"
    assert score["psnr"] == pytest.approx(references.psnr(np.clip(wide, 0, 1), t)[0], abs=1e-3)
    assert score["ms_ssim"] == pytest.approx(references.ms_ssim(wide, t)[0], abs=1e-4)
    # With the halves of the protocol exchanged both would differ clearly.
    assert abs(score["psnr"] - references.psnr(wide, t)[0]) > 0.1
    assert abs(score["ms_ssim"] - references.ms_ssim(np.clip(wide, 0, 1), t)[0]) > 1e-3


def test_the_psnr_of_identical_images_is_none():
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    score = score_image("white", unchanged(white), white)
    assert score == {"name": "white", "psnr": None, "ms_ssim": 1.0}
    json.dumps(score, allow_nan=False)


def test_values_outside_the_range_do_not_affect_psnr():
    target = np.where(np.arange(SIDE * SIDE * 3) % 2, 255, 0).astype(np.uint8)
    target = target.reshape(SIDE, SIDE, 3)
    score = score_image("x", np.where(target == 255, 1.4, -0.4).astype(np.float32), target)
    assert score["psnr"] is None
    assert score["ms_ssim"] < 0.995


def test_nan_output_raises():
    target = np.full((SIDE, SIDE, 3), 100, np.uint8)
    with pytest.raises(InputError, match=r"x\.png.*not finite"):
        score_image("x.png", np.full((SIDE, SIDE, 3), np.nan, np.float32), target)


def test_means_are_taken_over_scores_of_images():
    # The mean of the PSNRs differs from the PSNR of the mean error.
    result = evaluate(unchanged, Pairs(5, 10, 0))
    assert [score["name"] for score in result["per_image"]] == ["5.png", "10.png", "0.png"]
    first, second, identical = (score["psnr"] for score in result["per_image"])
    assert first == pytest.approx(decibels(5), abs=1e-3)
    assert second == pytest.approx(decibels(10), abs=1e-3)
    assert identical is None
    assert result["psnr"] == pytest.approx((decibels(5) + decibels(10)) / 2, abs=1e-3)
    assert (result["images"], result["infinite_psnr"]) == (3, 1)
    similarities = [score["ms_ssim"] for score in result["per_image"]]
    assert result["ms_ssim"] == pytest.approx(np.mean(similarities))


def test_a_mean_without_finite_values_is_none():
    result = evaluate(unchanged, Pairs(0, 0))
    assert (result["psnr"], result["infinite_psnr"], result["ms_ssim"]) == (None, 2, 1.0)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_progress_covers_every_image():
    tracked = []

    def track(items):
        for item in items:
            tracked.append(item)
            yield item

    evaluate(unchanged, Pairs(1, 2), track=track)
    assert tracked == [0, 1]


@pytest.mark.parametrize(
    ("psnr", "infinite", "cell"),
    [(22.1234, 0, "22.123"), (22.1234, 1, "22.123 (3 finite)"), (None, 4, "infinite")],
)
def test_the_table_says_how_many_images_a_mean_covers(psnr, infinite, cell):
    row = {"label": "student", "parameters": 2715, "images": 4, "psnr": psnr, "ms_ssim": 0.91234}
    row |= {"infinite_psnr": infinite, "faults": {"hue": None, "border": -0.123}}
    cells = [column.cell(row) for column in COLUMNS]
    assert cells == ["student", "2,715", "4", cell, "0.9123", "–", "-0.12"]


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Training workdirs of untrained enhancers, by name."""
    folders = {}
    for name in ("teacher", "student"):
        folders[name] = tmp_path_factory.mktemp(name)
        config = teacher.get_config()
        config.model = name
        claim_workdir(folders[name], config, {}, write=True)
        init = jax.jit(make_network(name).init)
        params = init(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))["params"]
        optimizers = {"generator": adam(optax.constant_schedule(1e-3))}
        with Checkpoints(folders[name], keep=1) as checkpoints:
            state = jax.device_get(init_state({"generator": params}, optimizers))
            save(checkpoints, state)
    return folders


def request(*weights):
    config = evaluate_configs.get_config()
    config.weights = ",".join(map(str, weights))
    return config


SUMMARY = {"images", "psnr", "ms_ssim", "infinite_psnr", "per_image"}
ROW = {"label", "model", "weights", "parameters", "faults", "runtime"} | SUMMARY


def test_models_are_compared(workdirs, tmp_path, capsys):
    pairs = Pairs(5, 10, 0, 3)
    config = request(workdirs["student"], workdirs["teacher"] / "checkpoints" / "0")
    returned = run(config, tmp_path, pairs)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results == returned
    assert results.keys() == ROW | {"input", "models"}
    baseline = {name: results["input"][name] for name in SUMMARY}
    assert baseline == evaluate(unchanged, pairs)
    measured = [
        faults(unchanged(target), unchanged(image))
        for image, target in map(pairs.__getitem__, range(4))
    ]
    for fault in ("hue", "border"):
        assert results["input"]["faults"][fault] == pytest.approx(
            np.mean([each[fault] for each in measured])
        )
    # Untrained networks leave too little color to measure hues.
    assert results["faults"]["hue"] is None and results["faults"]["border"] < -1
    assert [row["model"] for row in results["models"]] == ["student", "teacher"]
    assert [row["parameters"] for row in results["models"]] == [2715, 21843]
    assert all(row.keys() == ROW for row in results["models"])
    assert {name: results[name] for name in ROW} == results["models"][0]
    assert results["weights"] == f"{workdirs['student']} (step 0)"

    out = capsys.readouterr().out
    for model in ("input", "student", "teacher"):
        assert any(line.split()[:1] == [model] for line in out.splitlines())
    assert "Mean PSNR excludes images with infinite PSNR" in out
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.size[0] == GAP + 4 * (SIDE + GAP)  # input, two models, target


def test_models_of_one_network_are_told_apart_by_their_names(workdirs, tmp_path, capsys):
    copy = tmp_path / "mine"
    shutil.copytree(workdirs["student"], copy)
    results = run(request(workdirs["student"], copy), tmp_path / "scores", Pairs(5))
    labels = [f"student ({folder.name})" for folder in (workdirs["student"], copy)]
    assert [row["label"] for row in results["models"]] == labels
    out = capsys.readouterr().out
    assert all(label in out for label in labels)


def test_printed_paths_can_be_copied(workdirs, tmp_path, capsys):
    # Longer than a line, and with characters that rich could parse as markup.
    workdir = tmp_path / ("a-workdir-of-some-length-" * 3) / "[bold]"
    run(request(workdirs["student"]), workdir, Pairs(5))
    assert str(workdir / "results.json") in capsys.readouterr().out


def test_a_missing_model_raises_before_anything_is_written(workdirs, tmp_path):
    with pytest.raises(InputError, match="absent does not exist"):
        run(request(workdirs["student"], tmp_path / "absent"), tmp_path / "out", Pairs(5))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("weights", ["", " "])
def test_weights_must_be_named(tmp_path, weights):
    with pytest.raises(InputError, match="config.weights"):
        run(request(weights), tmp_path, Pairs(5))


@pytest.mark.parametrize("images", [1, 2, 3, 5])
def test_the_picture_repeats_no_image(workdirs, images):
    brighter = (40, 10, 30, 20, 50)[:images]
    pairs = Pairs(*brighter)
    scores = evaluate(unchanged, pairs)["per_image"]
    strip = picture({"student": make_runner(load_model(workdirs["student"]), "jax")}, scores, pairs)
    rows = min(images, 3)
    assert len(strip) == LABEL_HEIGHT + rows * (LABEL_HEIGHT + SIDE + GAP)
    # The smaller the difference in brightness, the better; the best is first.
    order = sorted(range(images), key=brighter.__getitem__)
    tops = [2 * LABEL_HEIGHT, len(strip) - SIDE - GAP]
    for top, index in zip(tops, (order[0], order[-1]), strict=True):
        np.testing.assert_array_equal(strip[top : top + SIDE, GAP : GAP + SIDE], pairs[index][0])


def test_a_psnr_of_0_is_the_worst(workdirs):
    # 0 dB, black instead of white, is falsy but not None.
    pairs = Pairs(40, 10, 30)
    scores = [
        {"name": name, "psnr": psnr, "ms_ssim": 0.5}
        for name, psnr in zip(pairs.names, (12.0, 0.0, 20.0), strict=True)
    ]
    strip = picture({"student": make_runner(load_model(workdirs["student"]), "jax")}, scores, pairs)
    worst = strip[-SIDE - GAP : -GAP, GAP : GAP + SIDE]
    np.testing.assert_array_equal(worst, pairs[1][0])


def test_summarize_keeps_the_images_in_order():
    scores = [{"name": name, "psnr": 20.0, "ms_ssim": 0.5} for name in "cab"]
    assert summarize(scores) == {
        "images": 3,
        "psnr": 20.0,
        "ms_ssim": 0.5,
        "infinite_psnr": 0,
        "per_image": scores,
    }
