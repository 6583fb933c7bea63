"""Runs that are resumed with moved or other networks, or with fewer steps."""

import json

import jax
import numpy as np
import pytest

from configs import student
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training.enhancer import check_files
from ppcn_jax.weights.load import convert, load_model
from ppcn_jax.weights.safetensors_file import write_native
from tests.tiny_runs import rows, run, small


def content(workdir):
    return {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The workdir of a student after one step, with the shipped teacher; its configuration."""
    workdir = tmp_path_factory.mktemp("taught")
    config = small(student.get_config())
    config.teacher, config.train.steps = "teacher", 1
    run(config, workdir)
    return workdir, config


def changed(config, **fields):
    copy = config.copy_and_resolve_references()
    copy.update_from_flattened_dict({name.replace("__", "."): v for name, v in fields.items()})
    return copy


def test_run_that_has_reached_its_steps_is_left_as_it_is(averaged, capsys):
    config, workdir, state = averaged
    before = content(workdir)
    for steps in (6, 3):
        again = run(changed(config, train__steps=steps), workdir)
        assert content(workdir) == before
        assert int(again.step) == 6
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=True):
            np.testing.assert_array_equal(a, b)
        (line,) = capsys.readouterr().out.splitlines()
        assert f"{workdir} has reached step 6" in line and f"train.steps={steps}" in line


def test_moved_teacher_is_the_same_teacher(taught, tmp_path, capsys):
    workdir, config = taught
    (digest,) = json.loads((workdir / "networks.json").read_text(encoding="utf-8"))["teachers"]
    assert len(digest) == 64
    convert("teacher", tmp_path / "moved.safetensors")
    moved = changed(config, teacher=str(tmp_path / "moved.safetensors"), train__steps=2)
    check_files(moved, workdir)
    assert run(moved, workdir).step == 2
    assert "from step 1 to 2" in capsys.readouterr().out
    assert [row["step"] for row in rows(workdir, "train")][-1] == 2


def test_other_teacher_is_refused_and_nothing_changes(taught, tmp_path):
    workdir, config = taught
    model = load_model("teacher")
    model.params["conv0"] = jax.tree.map(lambda x: x + np.float32(1e-3), model.params["conv0"])
    write_native(tmp_path / "other.safetensors", model)
    other = changed(config, teacher=str(tmp_path / "other.safetensors"), train__steps=9)
    before = content(workdir)
    for start in (check_files, run):
        with pytest.raises(InputError, match="config.teacher: the network has other parameters"):
            start(other, workdir)
    assert content(workdir) == before


def test_run_of_an_older_version_gets_a_record(taught):
    workdir, config = taught
    record = (workdir / "networks.json").read_bytes()
    (workdir / "networks.json").unlink()
    teacher = json.loads((workdir / "config.json").read_text(encoding="utf-8"))["teacher"]
    run(changed(config, teacher=teacher, train__steps=3), workdir)
    assert (workdir / "networks.json").read_bytes() == record


def test_moved_start_is_the_same_start(averaged, tmp_path):
    config, source, _ = averaged
    workdir = tmp_path / "run"
    started = changed(config, start_from=str(source / "checkpoints/6"), train__steps=1)
    run(started, workdir)
    convert(source, tmp_path / "same.safetensors")
    check_files(changed(started, start_from=str(tmp_path / "same.safetensors")), workdir)
    with pytest.raises(InputError, match=r"config.start_from=student has other parameters than "):
        check_files(changed(started, start_from="student"), workdir)
    # It is not read under its own path.
    (workdir / "started_from.json").write_text(
        json.dumps({"start_from": str(tmp_path / "gone"), "sha256": {}}),
        encoding="utf-8",
    )
    check_files(changed(started, start_from=f"{tmp_path}/./gone"), workdir)
