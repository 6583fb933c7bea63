"""Two runs in one workdir: the second is refused while the first lives, and replaces a dead one."""

import json
import os
import signal

import pytest

from ppcn_jax.runtime.lock_file import FILE
from ppcn_jax.runtime.processes import START_AGAIN
from ppcn_jax.weights.checkpoints import steps_in
from tests.faults.runs import train
from tests.faults.test_processes import SILENCE, free_port, train_in_pair
from tests.processes import end, last_step, rows, wait_until

ENDLESS = {"train.steps": 100_000, "checkpoint.every": 4}


def trains(workdir, process):
    """Wait until a run has written two more rows after another checkpoint."""
    saved = steps_in(workdir)[-1] if steps_in(workdir) else 0
    wait_until(lambda: steps_in(workdir) and steps_in(workdir)[-1] > saved, process)
    at = last_step(workdir)
    wait_until(lambda: last_step(workdir) > at + 1, process)


def holder(workdir):
    """The number of the process that holds the workdir."""
    return json.loads((workdir / FILE).read_text(encoding="utf-8"))["process"]


@pytest.fixture(scope="module")
def story(launch, tmp_path_factory):
    """Runs that meet in one workdir; returns it and how each of them ended.

    The second comes while the first trains. The first is killed, and the third follows at once. It
    is suspended, loses the workdir to the fourth, and wakes while that one trains.
    """
    workdir = tmp_path_factory.mktemp("shared")
    parts = {}
    first = train(launch, workdir, **ENDLESS)
    trains(workdir, first)
    parts["second"] = end(train(launch, workdir, **ENDLESS))
    trains(workdir, first)
    assert holder(workdir) == first.pid
    first.kill()
    third = train(launch, workdir, f"--silence={SILENCE}", **ENDLESS)
    trains(workdir, third)
    third.send_signal(signal.SIGSTOP)
    os.utime(workdir / FILE, (0, 0))  # as after `SILENCE` seconds and more
    fourth = train(launch, workdir, f"--silence={SILENCE}", **ENDLESS)
    trains(workdir, fourth)
    third.send_signal(signal.SIGCONT)
    parts["third"] = end(third)
    trains(workdir, fourth)
    assert holder(workdir) == fourth.pid
    fourth.terminate()
    parts["fourth"] = end(fourth)
    return workdir, parts, first, third


def test_the_second_run_names_the_first_and_ends(story):
    workdir, parts, first, _ = story
    status, stdout, stderr = parts["second"]
    assert (status, stdout) == (START_AGAIN, "")
    (line,) = stderr.strip().splitlines()
    assert line.startswith(f"{workdir} is in use by process {first.pid} on ")


def test_the_lock_of_a_killed_run_is_taken_over_at_once(story):
    workdir, parts, first, _ = story
    line = parts["third"][1].splitlines()[0]
    assert line.startswith(f"{workdir} is taken over from process {first.pid} on ")
    assert line.endswith(": it is gone")


def test_a_suspended_run_loses_its_workdir_and_ends_when_it_wakes(story):
    workdir, parts, _, third = story
    line = parts["fourth"][1].splitlines()[0]
    assert line.startswith(f"{workdir} is taken over from process {third.pid} on ")
    assert ": no heartbeat for " in line
    status, _, stderr = parts["third"]
    assert status == START_AGAIN
    # Orbax warns before if the run slept in a save, whose partial checkpoint the fourth has removed.
    line = stderr.splitlines()[-1]
    assert line.startswith(
        f"{workdir / FILE} is no longer that of process {third.pid}: another run"
    )
    assert stderr.count(line) == 1


def test_every_step_has_one_row(story):
    workdir, parts, *_ = story
    status, stdout, stderr = parts["fourth"]
    assert (status, stderr) == (START_AGAIN, "")
    trained = [row["step"] for row in rows(workdir) if row["split"] == "train"]
    assert trained == list(range(1, steps_in(workdir)[-1] + 1))
    assert f"stopped at step {trained[-1]}; the same command continues" in stdout
    assert not (workdir / FILE).exists()


@pytest.mark.long
def test_all_processes_of_a_second_run_end_and_the_first_goes_on(launch, tmp_path):
    # The same port: if the processes of the second run joined the first, JAX would end both.
    pair = {"port": free_port(), **ENDLESS}
    first = train_in_pair(launch, tmp_path, **pair)
    trains(tmp_path, first[0])
    second = [end(process) for process in train_in_pair(launch, tmp_path, **pair)]
    assert [status for status, *_ in second] == [START_AGAIN, START_AGAIN]
    for *_, stderr in second:
        (line,) = stderr.strip().splitlines()
        assert line.startswith(f"{tmp_path} is in use by process {first[0].pid} on ")
    trains(tmp_path, first[0])
    first[1].terminate()
    assert [end(process)[0] for process in first] == [START_AGAIN, START_AGAIN]
    trained = [row["step"] for row in rows(tmp_path) if row["split"] == "train"]
    assert trained == list(range(1, steps_in(tmp_path)[-1] + 1))
