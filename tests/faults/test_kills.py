"""Runs that are killed or preempted and started again end with the bits of an uninterrupted one."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ppcn_jax.runtime.processes import START_AGAIN
from ppcn_jax.weights.checkpoints import FOLDER, steps_in
from tests.data.sample_pictures import draw
from tests.faults.runs import SETTINGS, SUPER_RESOLVER, assert_same_state, read_state, train
from tests.processes import REPOSITORY, end, last_step, rows, wait_until

STEPS = 100
EVERY = 16
SEED = 7  # determines when processes are killed


@pytest.fixture(scope="module")
def start_student(launch, write_model, tmp_path_factory):
    """Starts a student with a teacher, a discriminator and an average: five trees."""
    teacher = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    changed = {
        "teacher": write_model(teacher, "teacher"),
        "objective.texture.weight": 50.0,
        "train.batch_size": 2,
        "train.ema": 0.9,
        "train.steps": STEPS,
        "checkpoint.every": EVERY,
        "evaluate.every": STEPS // 2,
    }
    return lambda workdir: train(launch, workdir, config="student.py", **changed)


@pytest.fixture(scope="module")
def uninterrupted(start_student, tmp_path_factory):
    """The workdir of an uninterrupted student's run."""
    workdir = tmp_path_factory.mktemp("uninterrupted")
    assert end(start_student(workdir))[::2] == (0, "")
    return workdir


def assert_same_run(workdir, expected):
    """All players, optimizers and metrics are bit-equal."""
    assert rows(workdir) == rows(expected)
    (step,) = {run[-1] for run in map(steps_in, (workdir, expected))}
    assert_same_state(read_state(workdir, step), read_state(expected, step))


@pytest.mark.long
def test_same_seed_and_configuration_give_the_same_bits(start_student, uninterrupted, tmp_path):
    assert end(start_student(tmp_path))[::2] == (0, "")
    assert [row["step"] for row in rows(tmp_path) if row["split"] == "train"] == [
        *range(1, STEPS + 1)
    ]
    players = {"discriminator", "generator"}
    optimizers = {f"{player}_optimizer" for player in players}
    assert read_state(tmp_path, STEPS).keys() == players | optimizers | {"generator_average"}
    assert_same_run(tmp_path, uninterrupted)


def kill(process, workdir, at):
    """Kill a run after it has written the row of step `at`."""
    wait_until(lambda: last_step(workdir) >= at, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.long
def test_a_student_that_is_killed_and_then_preempted_loses_nothing(
    start_student, uninterrupted, tmp_path
):
    at = int(np.random.default_rng(SEED).integers(EVERY, STEPS - 2 * EVERY))
    kill(start_student(tmp_path), tmp_path, at)

    process = start_student(tmp_path)
    wait_until(lambda: "compiled in" in process.output()[0], process)
    before = set(steps_in(tmp_path))
    process.send_signal(signal.SIGTERM)
    # Send both signals repeatedly until the checkpoint that the first one requested is complete.
    while not {step for step in steps_in(tmp_path) if step not in before and step % EVERY}:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.poll() is None and last_step(tmp_path) < STEPS, end(process)
    status, stdout, stderr = end(process)
    assert (status, stderr) == (START_AGAIN, "")
    stopped = steps_in(tmp_path)[-1]
    assert f"stopped at step {stopped}; the same command continues" in stdout
    assert last_step(tmp_path) == stopped
    assert not list((tmp_path / FOLDER).glob("*tmp"))

    status, stdout, stderr = end(start_student(tmp_path))
    assert (status, stderr) == (0, "")
    assert f"from step {stopped} to {STEPS}" in stdout
    assert_same_run(tmp_path, uninterrupted)


@pytest.fixture(scope="module")
def start_super_resolver(launch, tmp_path_factory):
    """Starts the super-resolver on a few photos."""
    photos = tmp_path_factory.mktemp("photos")
    for i in range(5):
        Image.fromarray(draw(i, 40, 52)).save(photos / f"{i}.png")
    settings = {
        **SUPER_RESOLVER,
        "data.dir": photos,
        "data.holdout": 1,
        "checkpoint.every": 5,
        "evaluate.every": 12,
    }
    return lambda workdir: launch("super_resolution.py", workdir, settings=settings)


@pytest.mark.long
def test_a_super_resolver_that_is_killed_loses_nothing(start_super_resolver, tmp_path):
    expected, workdir = tmp_path / "uninterrupted", tmp_path / "killed"
    assert end(start_super_resolver(expected))[::2] == (0, "")
    at = int(np.random.default_rng(SEED + 1).integers(2, SETTINGS["train.steps"] - 6))
    kill(start_super_resolver(workdir), workdir, at)
    assert end(start_super_resolver(workdir))[::2] == (0, "")
    assert_same_run(workdir, expected)


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.long)])
def test_the_newest_checkpoint_loads_after_a_kill_during_a_save(kills, tmp_path):
    command = [sys.executable, "-m", "tests.faults.saving", tmp_path, str(kills), str(SEED)]
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=20 * kills,
        encoding="utf-8",
    )
    found = json.loads(result.stdout)
    assert found["damaged"] == [] and found["halves"] > 0 and found["steps"]
