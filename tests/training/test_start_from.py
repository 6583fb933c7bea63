"""Runs that start from the parameters of another network (`config.start_from`)."""

import json
import pathlib

import jax
import numpy as np
import pytest

from configs import student, super_resolution, teacher
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training import super_resolver
from ppcn_jax.training.enhancer import check_files, make_experiment
from ppcn_jax.training.start_from import Start, load_start, start_from
from ppcn_jax.weights.checkpoint_record import digest
from ppcn_jax.weights.load import convert, load_model
from tests.states import assert_same_bits
from tests.tiny_runs import run, small


def small_student(**changed):
    config = small(student.get_config("no_distillation"))
    config.update(changed)
    return config


@pytest.fixture
def still(averaged, tmp_path):
    """A run that is too slow to change a bit, started from the averaged one."""
    config = averaged[0].copy_and_resolve_references()
    config.start_from = str(averaged[1].rename(tmp_path / "source"))
    config.train.learning_rate = 1e-30
    config.objective.texture.weight = 0.0
    yield config
    (tmp_path / "source").rename(averaged[1])


def test_a_run_starts_from_a_workdir_and_resumes_without_it(still, averaged, tmp_path, capsys):
    source, workdir = tmp_path / "source", tmp_path / "run"
    trained = averaged[2].players
    still.train.steps = 1
    state = run(still, workdir)
    for params in (state.players["generator"].params, state.players["generator"].average):
        assert_same_bits(params, trained["generator"].average)
    counts = [
        leaf for leaf in jax.tree.leaves(state.players["generator"].opt_state) if leaf.ndim == 0
    ]
    assert counts and set(map(int, counts)) == {1}  # the optimizer is new

    origin = f"{source} (step 6, averaged parameters)"
    printed = " ".join(capsys.readouterr().out.split())
    assert f"starts from {origin} " in printed
    record = json.loads((workdir / "started_from.json").read_text(encoding="utf-8"))
    assert record == {
        "start_from": str(source),
        "source": origin,
        "network": "student",
        "preset": "paper",
        "sha256": {"generator": digest(trained["generator"].average)},
        "about": {"data": "synthetic", "steps": "6", "seed": "0", "ema": "0.7"},
    }

    source.rename(tmp_path / "elsewhere")
    still.train.steps = 2
    check_files(still, workdir)
    assert run(still, workdir).step == 2
    assert "starts from" not in capsys.readouterr().out
    assert json.loads((workdir / "started_from.json").read_text(encoding="utf-8")) == record
    with pytest.raises(InputError, match="config.start_from: .*source does not exist"):
        check_files(still, tmp_path / "new")
    (tmp_path / "elsewhere").rename(source)

    still.start_from = ""
    with pytest.raises(InputError, match="start_from was '.*source', is now ''"):
        run(still, workdir)

    model = convert(workdir, tmp_path / "x.safetensors")
    assert model.about == load_model(tmp_path / "x.safetensors").about
    assert (
        model.about["started_from"]
        == f"{pathlib.Path(origin).name}, parameters sha256 {record['sha256']['generator']}"
    )
    assert model.about["started_from_data"] == "synthetic"
    assert model.about["started_from_steps"] == "6"
    (workdir / "started_from.json").unlink()
    assert load_model(workdir).about["started_from"].startswith(f"{source.name}, not recorded")
    (workdir / "started_from.json").write_text('{"source": 1}', encoding="utf-8")
    with pytest.raises(InputError, match=r"started_from\.json does not describe a network"):
        load_model(workdir)


@pytest.fixture(scope="module")
def initial():
    """Configuration and first state of a student without a discriminator."""
    config = small_student()
    config.model_settings.padding = "reflect"
    return config, make_experiment(config).state


def test_every_source_of_a_network_can_be_started_from(initial, averaged, tmp_path):
    config, state = initial
    workdir = averaged[1]
    convert(workdir, tmp_path / "x.safetensors")
    for path in (
        "student",
        tmp_path / "x.safetensors",
        workdir,
        workdir / "checkpoints" / "4",
        workdir / "checkpoints" / "6" / "generator",
    ):
        config.start_from = str(path)
        started, record, line = start_from(state, load_start(config), config)
        model = load_model(config.start_from)
        assert_same_bits(started.players["generator"].params, model.params)
        assert started.players["generator"].average is None
        assert started.step == 0
        assert_same_bits(
            started.players["generator"].opt_state, state.players["generator"].opt_state
        )
        assert record["sha256"] == {"generator": digest(model.params)}
        assert record["about"] == model.about
        assert line == f"starts from {model.source}"
    assert not np.shares_memory(
        started.players["generator"].params["conv0"]["kernel"], model.params["conv0"]["kernel"]
    )


def test_a_released_checkpoint_can_be_started_from(initial, shared):
    config, state = initial[0].copy_and_resolve_references(), initial[1]
    path = shared / "checkpoints" / "student_wo_kd"
    config.start_from = str(path)
    with pytest.raises(InputError, match="with {'padding': 'zeros'}, but this run has"):
        load_start(config)
    config.model_settings.padding = "zeros"
    started, record, _ = start_from(state, load_start(config), config)
    assert_same_bits(started.players["generator"].params, load_model(path).params)
    assert record["preset"] == "released"


def test_a_folder_called_like_a_shipped_network_is_another_one(
    initial, averaged, tmp_path, monkeypatch
):
    (tmp_path / "student").symlink_to(averaged[1])
    monkeypatch.chdir(tmp_path)
    config, _ = initial
    config.start_from = "student"
    assert load_start(config).model.source == "student (shipped)"
    config.start_from = "./student"
    assert load_start(config).model.source.startswith("student (step 6")


@pytest.fixture(scope="module")
def initial_pair(averaged):
    """Configuration and first state of a student with a discriminator and an average."""
    config = averaged[0].copy_and_resolve_references()
    return config, make_experiment(config).state


def test_a_discriminator_is_taken_along(initial_pair, averaged):
    config, state = initial_pair
    config.start_from = str(averaged[1])
    started, record, line = start_from(state, load_start(config), config)
    trained = averaged[2].players["discriminator"].params
    assert_same_bits(started.players["discriminator"].params, trained)
    assert_same_bits(
        started.players["discriminator"].opt_state, state.players["discriminator"].opt_state
    )
    assert record["sha256"]["discriminator"] == digest(trained)
    assert line.endswith(", with its discriminator")


def without(layer):
    return lambda params: {name: tree for name, tree in params.items() if name != layer}


DIFFERENCES = {
    "missing": (without("norm0"), "only this run has norm0/scale"),
    "unexpected": (lambda p: p | {"a": p["logits"]}, "only the saved one has a/bias"),
    "shape": (
        lambda p: p | {"logits": {"bias": np.zeros(2), "kernel": np.zeros((1024, 2))}},
        "the saved logits/bias has shape (2,), not (1,)",
    ),
    "none": (lambda _: None, "none was saved with it"),
}


@pytest.mark.parametrize(("change", "reason"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_discriminator_that_does_not_fit_is_named(initial_pair, averaged, change, reason):
    config, state = initial_pair
    config.start_from = str(averaged[1])
    origin = load_start(config)
    origin = Start(origin.model, change(origin.discriminator))
    started, record, line = start_from(state, origin, config)
    assert_same_bits(started.players["discriminator"], state.players["discriminator"])
    assert line.endswith(f"; the discriminator starts from random parameters, because {reason}")
    assert record["random"] == {"discriminator": reason}
    assert "discriminator" not in record["sha256"]


def test_the_average_starts_with_the_parameters(initial_pair):
    config, state = initial_pair
    config.start_from = "student"
    origin = load_start(config)
    assert origin.discriminator is None
    generator = start_from(state, origin, config)[0].players["generator"]
    assert_same_bits(generator.average, generator.params)
    leaves = zip(jax.tree.leaves(generator.average), jax.tree.leaves(generator.params), strict=True)
    assert not any(np.shares_memory(a, b) for a, b in leaves)


def test_a_super_resolver_starts_from_another():
    config = small(super_resolution.get_config())
    config.train.ema = 0.9
    config.start_from = "super_resolver"
    state = super_resolver.make_experiment(config).state
    started, record, _ = start_from(state, load_start(config), config)
    generator = started.players["generator"]
    for params in (generator.params, generator.average):
        assert_same_bits(params, load_model("super_resolver").params)
    assert record["source"] == "super_resolver (shipped)"


@pytest.mark.parametrize(
    ("make", "path", "message"),
    [
        (teacher.get_config, "student", "holds a student, but this run trains a teacher"),
        (teacher.get_config, "super_resolver", "holds a super_resolver, but this run trains a t"),
        (super_resolution.get_config, "student", "holds a student, but this run trains a super_"),
        (teacher.get_config, "absent", "config.start_from: absent does not exist"),
    ],
)
def test_another_network_is_refused_before_data_is_opened(make, path, message, tmp_path):
    config = small(make())
    config.start_from = path
    with pytest.raises(InputError, match=message):
        check_files(config, tmp_path)


def test_a_super_resolver_of_another_scale_is_refused(tmp_path):
    config = small(super_resolution.get_config())
    config.data.scale = 3
    config.start_from = "super_resolver"
    with pytest.raises(InputError, match=r"with \{'scale': 4\}, but this run has \{'scale': 3\}"):
        check_files(config, tmp_path)
