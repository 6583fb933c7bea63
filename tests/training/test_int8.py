"""Runs that train in int8 (`train.quantize`)."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest

import data
from configs import benchmark, student
from ppcn_jax.configuration.check import check
from ppcn_jax.configuration.workdir import check_workdir
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance, score_image
from ppcn_jax.models.int8 import Ranges, in_int8
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training import int8
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.training.start_from import load_start, start_from
from ppcn_jax.weights.int8 import RANGES, RANGES_FILE, ranges_of
from ppcn_jax.weights.load import convert, load_model
from tests.states import assert_same_bits
from tests.tiny_runs import rows, run, small

RANGES_FOUND = dict.fromkeys(("conv1", "conv2", "conv3"), Ranges((-9.1, 9), (-12, 12.3)))


def quantized():
    config = small(student.get_config("quick_no_distillation"))
    for name in ("ssim", "ms_ssim", "log_mse", "total_variation"):  # fewer losses compile sooner
        config.objective[name].weight = 0.0
    config.objective.mae.weight = 1.0
    config.start_from = "student"
    config.train.quantize = True
    config.train.ema = 0.7
    config.train.learning_rate = 1e-3
    config.data.crop = 16
    return config


@pytest.fixture(scope="module")
def searches():
    """The arguments of all searches for ranges, in whose place fixed ranges are found at once."""
    made = []

    def find(*arguments):
        made.append(arguments)
        return RANGES_FOUND

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "find_ranges", find)
        yield made


@pytest.fixture(scope="module")
def finished(searches, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("quantized")
    return workdir, run(quantized(), workdir)


def test_ranges_are_found_on_the_first_crops_for_the_network_to_start_from(searches, finished):
    ((module, params, crops, _),) = searches
    model = load_model("student")
    assert module == model.module
    assert_same_bits(params, model.params)
    source = data.make_source(**quantized().data, split="train")
    with contextlib.closing(data.batches(source, seed=0, batch_size=4)) as stream:
        expected = np.concatenate([next(stream)["input"][0] for _ in range(32)])
    np.testing.assert_array_equal(np.concatenate(crops), expected / np.float32(255))


def test_resuming_gives_the_bits_of_an_uninterrupted_run(finished, searches, tmp_path, capsys):
    workdir, uninterrupted = finished
    config = quantized()
    config.train.steps = 3
    assert run(config, tmp_path).step == 3
    assert "trains 3 convolutions in int8; evaluations score" in capsys.readouterr().out
    count = len(searches)
    config.train.steps = 6
    assert_same_bits(run(config, tmp_path), uninterrupted)
    assert len(searches) == count  # they are read
    assert (tmp_path / RANGES_FILE).read_bytes() == (workdir / RANGES_FILE).read_bytes()
    assert [row for row in rows(tmp_path) if row["step"] > 3] == [
        row for row in rows(workdir) if row["step"] > 3
    ]
    (tmp_path / RANGES_FILE).unlink()
    config.train.steps = 7
    with pytest.raises(InputError, match=f"{RANGES_FILE} is missing, without which the run cannot"):
        run(config, tmp_path)


def test_evaluations_score_the_average_in_int8(finished):
    workdir, state = finished
    model = load_model(workdir)
    assert_same_bits(model.params, state.players["generator"].average)
    pairs = data.make_source(**quantized().data, split="test")

    def score(module):
        enhance = make_enhance(module, model.params)
        return evaluate(enhance, pairs, score=score_image)["psnr"]

    last = rows(workdir, "test")[-1]["psnr"]
    assert last == pytest.approx(score(in_int8(model.module, ranges_of(model))), abs=1e-3)
    assert abs(last - score(model.module)) > 3e-3


def test_ranges_are_part_of_a_weights_file_but_not_of_a_run_from_it(finished, tmp_path):
    path = tmp_path / "x.safetensors"
    convert(finished[0], path)
    assert ranges_of(load_model(path)) == ranges_of(load_model(finished[0])) == RANGES_FOUND
    config = quantized()
    config.train.quantize, config.start_from = False, str(path)
    _, record, _ = start_from(make_experiment(config).state, load_start(config), config)
    assert record["about"]["steps"] == "6" and RANGES not in record["about"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "does not hold ranges for int8"),
        ('{"conv1": [[0, 1]]}', "does not hold ranges for int8"),
        ('{"conv1": [[0, 1], [2, 1]]}', "is no range"),
        ('{"conv1": [[0, 1], [0, NaN]]}', "is no range"),
        ('{"conv9": [[0, 1], [0, 1]]}', "names conv9/kernel, which the network does not have"),
    ],
)
def test_other_ranges_are_refused(text, message):
    model = load_model("student")
    with pytest.raises(InputError, match=message):
        ranges_of(dataclasses.replace(model, about={RANGES: text}))


def test_what_it_needs_is_checked_first():
    config = quantized()
    check(config, devices=1)
    config.start_from, config.precision.generator = "", "bfloat16"
    with pytest.raises(InputError) as error:
        check(config, devices=1)
    assert "train.quantize is True, but start_from is empty" in str(error.value)
    assert "precision.generator is 'bfloat16', but train.quantize" in str(error.value)
    config = benchmark.get_config()
    config.training.train.quantize = True
    with pytest.raises(InputError, match="training.train.quantize is True; it must be False"):
        check(config, devices=1)


def test_runs_of_older_versions_are_in_float(finished, tmp_path):
    saved = json.loads((finished[0] / "config.json").read_text(encoding="utf-8"))
    assert saved["train"].pop("quantize") is True
    (tmp_path / "config.json").write_text(json.dumps(saved), encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.quantize was False, is now True"):
        check_workdir(tmp_path, quantized())
