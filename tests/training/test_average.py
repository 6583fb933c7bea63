"""Runs that average the generator's parameters (`train.ema`)."""

import shutil

import jax
import numpy as np
import pytest

import data
from configs import student
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance, score_image
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.load import convert, load_model
from tests.states import assert_same_bits
from tests.tiny_runs import rows, run


def differ(a, b):
    return any((x != y).any() for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_the_average_is_loaded_unless_the_path_names_the_trained_parameters(averaged):
    _, workdir, state = averaged
    generator = state.players["generator"]
    assert differ(generator.params, generator.average)
    for path, params, source in (
        ("", generator.average, "(step 6, averaged parameters)"),
        ("checkpoints/6", generator.average, "(step 6, averaged parameters)"),
        ("checkpoints/6/generator_average", generator.average, "(step 6, averaged parameters)"),
        ("checkpoints/6/generator", generator.params, "(step 6, not averaged)"),
    ):
        model = load_model(workdir / path)
        assert_same_bits(model.params, params)
        assert model.source == f"{workdir} {source}"
        assert ("ema" in model.about) == ("average" in source.replace("not averaged", ""))


@pytest.mark.parametrize("name", ["discriminator", "generator_optimizer", "absent"])
def test_other_parts_of_a_checkpoint_are_no_networks(averaged, name):
    path = averaged[1] / "checkpoints" / "6" / name
    with pytest.raises(InputError, match=rf"{name} is no network; .* generator, generator_average"):
        load_model(path)


def test_a_run_without_an_average_has_none_to_name(averaged, tmp_path):
    shutil.copytree(averaged[1], tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(
        text.replace('"ema": 0.7', '"ema": 0.0'), encoding="utf-8"
    )
    shutil.rmtree(tmp_path / "checkpoints" / "6" / "generator_average")
    assert load_model(tmp_path).source == f"{tmp_path} (step 6)"
    with pytest.raises(InputError, match="in this checkpoint there is generator"):
        load_model(tmp_path / "checkpoints" / "6" / "generator_average")


def test_evaluations_use_the_average(averaged):
    config, workdir, _ = averaged
    pairs = data.make_source(**config.data, split="test")
    scores = {}
    for tree in ("generator", "generator_average"):
        model = load_model(workdir / "checkpoints" / "6" / tree)
        enhance = make_enhance(model.module, model.params)
        scores[tree] = evaluate(enhance, pairs, score=score_image)["psnr"]
    last = rows(workdir, "test")[-1]
    assert last["psnr"] == pytest.approx(scores["generator_average"], abs=1e-6)
    assert abs(last["psnr"] - scores["generator"]) > 1e-4


def test_resuming_gives_the_bits_of_an_uninterrupted_run(averaged, tmp_path):
    config, workdir, uninterrupted = averaged
    config = config.copy_and_resolve_references()
    config.train.steps_per_call = 2
    assert run(config, tmp_path, interrupt_at=2).step == 3
    config.train.steps_per_call = 1
    assert_same_bits(run(config, tmp_path), uninterrupted)
    assert [r for r in rows(tmp_path) if r["step"] > 3] == [
        r for r in rows(workdir) if r["step"] > 3
    ]


def test_another_decay_is_another_run(averaged):
    config, workdir, _ = averaged
    other = config.copy_and_resolve_references()
    other.train.ema = 0.0
    with pytest.raises(InputError, match=r"train\.ema was 0.7, is now 0.0"):
        run(other, workdir)


def test_metadata_tells_the_decay(averaged, tmp_path):
    model = convert(averaged[1], tmp_path / "x.safetensors")
    assert load_model(tmp_path / "x.safetensors").about == model.about
    assert model.about["ema"] == "0.7"
    assert "averaged parameters" in model.source


@pytest.mark.parametrize("value", [1.0, 1.5, -0.1, float("nan"), True, "0.9"])
def test_a_decay_is_at_least_0_and_below_1(value):
    config = student.get_config("quick_no_distillation")
    with config.train.ignore_type():
        config.train.ema = value
    with pytest.raises(InputError, match=r"train\.ema is .*; it must be"):
        check(config, devices=1)


def test_decays_close_to_1_and_none_are_allowed():
    for value in (0, 0.0, 0.5, np.nextafter(1.0, 0).item()):
        config = student.get_config("quick_no_distillation")
        config.train.ema = value
        check(config, devices=1)
