"""Workdirs that hold a run: which changes of the configuration are accepted."""

import json
import os

import jax
import pytest

from configs import student, super_resolution, teacher
from ppcn_jax.configuration.networks import check_networks, record_networks
from ppcn_jax.configuration.workdir import changes, check_workdir, claim_workdir
from ppcn_jax.runtime.errors import InputError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The workdir of a student and its configuration, whose files are named by relative paths."""
    monkeypatch.chdir(tmp_path)
    config = student.get_config()
    config.teacher, config.vgg.weights, config.start_from = "w/a, w/b", "vgg.npz", "w/c"
    claim_workdir(tmp_path / "run", config, {}, write=True)
    return tmp_path / "run", config


def record(workdir):
    for name in ("networks.json", "started_from.json"):
        (workdir / name).write_text("{}", encoding="utf-8")


FIELDS = ["teacher", "vgg.weights", "start_from"]


@pytest.mark.parametrize("field", FIELDS)
def test_another_path_of_the_same_file_is_accepted(run, tmp_path, field):
    workdir, config = run
    (tmp_path / "w").mkdir()
    (tmp_path / "link").symlink_to("w")
    for path in ("{}", "./{}", "link/../{}", os.fspath(tmp_path / "{}")):
        changed = config.copy_and_resolve_references()
        named = config.vgg.weights if field == "vgg.weights" else config[field]
        moved = ",".join(path.format(part.strip()) for part in named.split(","))
        changed.update_from_flattened_dict({field: moved})
        check_workdir(workdir, changed)


@pytest.mark.parametrize("field", FIELDS)
def test_another_path_needs_a_hash_of_the_content(run, field):
    workdir, config = run
    before = (workdir / "config.json").read_bytes()
    config.update_from_flattened_dict({field: "elsewhere"})
    with pytest.raises(InputError, match=rf"- {field} was .*, is now 'elsewhere': .* has no hash"):
        check_workdir(workdir, config)
    record(workdir)
    check_workdir(workdir, config)
    assert (workdir / "config.json").read_bytes() == before


@pytest.mark.parametrize("field", FIELDS)
def test_a_file_that_is_no_longer_named_is_refused(run, field):
    workdir, config = run
    record(workdir)
    config.update_from_flattened_dict({field: ""})
    with pytest.raises(InputError, match=f"- {field} was .*, is now ''"):
        check_workdir(workdir, config)


def test_refusal_says_how_to_go_on(run):
    workdir, config = run
    config.train.learning_rate = 1e-6
    with pytest.raises(InputError) as error:
        check_workdir(workdir, config)
    assert "- train.learning_rate was 0.0005, is now 1e-06" in str(error.value)
    last = str(error.value).splitlines()[-1]
    assert f"With --config.start_from={workdir} and another --workdir" in last
    assert all(word in last for word in ("learning rate", "schedule", "batch"))


FROZEN = {"vgg": {"kernel": 1.0}, "teachers": [{"kernel": 2.0}, {"kernel": 3.0}]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vgg": {"kernel": 1.5}}, r"config.vgg.weights: the network has other parameters"),
        (
            {"teachers": [{"kernel": 2.0}, {"kernel": 3.5}]},
            r"config.teacher: network 2 of 2 has other .*trained further.*WORKDIR/checkpoints/STEP",
        ),
        ({"teachers": FROZEN["teachers"][::-1]}, r"config.teacher: .* in another order"),
        ({"teachers": FROZEN["teachers"][:1]}, r"names 1 networks, but this run started with 2"),
    ],
)
def test_other_frozen_networks_are_refused(tmp_path, changed, message):
    check_networks(tmp_path, FROZEN)  # a workdir of an older version
    record_networks(tmp_path, FROZEN)
    check_networks(tmp_path, FROZEN)
    frozen = {**FROZEN, **changed}
    record_networks(tmp_path, frozen)  # does not replace the record
    with pytest.raises(InputError, match=f"{message}.*--config.start_from={tmp_path}"):
        check_networks(tmp_path, frozen)
    (name,) = changed
    check_networks(
        tmp_path, {other: FROZEN[other] for other in FROZEN if other != name}, complete=False
    )
    with pytest.raises(InputError, match="names 0 networks"):
        check_networks(tmp_path, {other: FROZEN[other] for other in FROZEN if other != name})


def test_record_that_is_damaged_or_cannot_be_written(tmp_path):
    (tmp_path / "networks.json").write_text("[", encoding="utf-8")
    with pytest.raises(InputError, match="networks.json cannot be read"):
        check_networks(tmp_path, FROZEN)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="file cannot be written"):
        record_networks(tmp_path / "file", FROZEN)


def test_run_without_frozen_networks(tmp_path):
    claim_workdir(tmp_path, teacher.get_config(), {}, write=True)
    record_networks(tmp_path, {})
    check_networks(tmp_path, {})
    assert json.loads((tmp_path / "networks.json").read_text(encoding="utf-8")) == {}


def test_workdir_of_a_version_without_a_template_of_input_names(run):
    workdir, config = run
    fields = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    del fields["data"]["input_name"]
    (workdir / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    check_workdir(workdir, config)
    config.data.input_name = "{}x4"
    with pytest.raises(InputError, match="data.input_name was '{}', is now '{}x4'"):
        check_workdir(workdir, config)


def test_a_run_of_an_older_version_had_zeros_beyond_the_edges(run):
    workdir, config = run
    path = workdir / "config.json"
    old = json.loads(path.read_bytes())
    del old["model_settings"], old["data"]["photos"], old["data"]["photo_share"]
    del old["data"]["photo_extremes"]
    path.write_text(json.dumps(old), encoding="utf-8")
    check_workdir(workdir, config)
    config.model_settings.padding = "reflect"
    with pytest.raises(InputError, match=r"model_settings.padding was 'zeros', is now 'reflect'"):
        check_workdir(workdir, config)


@pytest.mark.parametrize(
    ("loss", "option", "other"),
    [
        ("log_mse", "clipped", True),
        ("ms_ssim", "per_channel", True),
        ("total_variation", "form", "l1"),
    ],
)
def test_a_run_of_an_older_version_had_the_defaults_of_options(run, loss, option, other):
    workdir, config = run
    path = workdir / "config.json"
    old = json.loads(path.read_bytes())
    before = old["objective"][loss].pop(option)
    path.write_text(json.dumps(old), encoding="utf-8")
    check_workdir(workdir, config)
    config.objective[loss][option] = other
    with pytest.raises(
        InputError, match=f"objective.{loss}.{option} was {before!r}, is now {other!r}"
    ):
        check_workdir(workdir, config)


@pytest.mark.parametrize("recipe", [teacher, super_resolution], ids=["teacher", "super_resolver"])
def test_workdirs_of_older_versions_were_trained_in_float32(recipe, tmp_path, monkeypatch):
    config = recipe.get_config()
    claim_workdir(tmp_path, config, {}, write=True)
    path = tmp_path / "config.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    del old["precision"], old["audit"]
    path.write_text(json.dumps(old), encoding="utf-8")
    check_workdir(tmp_path, config)
    assert changes(tmp_path) == []
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    (line,) = changes(tmp_path)
    assert "left products in float32 to JAX" in line and "from here on, float32 is exact" in line
    claim_workdir(tmp_path, config, {}, write=True)
    assert changes(tmp_path) == []  # reported once
    config.precision.generator = "bfloat16"
    with pytest.raises(InputError, match="precision.generator was 'float32', is now 'bfloat16'"):
        check_workdir(tmp_path, config)
