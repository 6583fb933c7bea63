"""Several processes: they agree, and when one is gone the others say which and end."""

import re
import signal
import socket

import pytest

from ppcn_jax.runtime.processes import START_AGAIN
from ppcn_jax.weights.checkpoints import steps_in
from tests.faults.runs import train
from tests.processes import end, rows, wait_until

TWO_DEVICES = "--xla_force_host_platform_device_count=2"
# Without the instruction that multiplies and adds in one go, whose sums are rounded once less.
OTHER_KIND = f"{TWO_DEVICES} --xla_cpu_max_isa=SSE4_2"
SILENCE = 5  # seconds
BOUND = 60  # seconds in which the others must have ended; most of it for a busy machine
ENDLESS = {"train.steps": 100_000, "checkpoint.every": 2}


def train_in_pair(launch, workdir, second=TWO_DEVICES, flags_of_second=(), **changed):
    """Two processes, each with two devices."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = [f"--coordinator=localhost:{port}", "--process_count=2", f"--silence={SILENCE}"]
    first = train(launch, workdir, *flags, "--process_index=0", xla_flags=TWO_DEVICES, **changed)
    flags += ["--process_index=1", *flags_of_second]
    return [first, train(launch, workdir, *flags, xla_flags=second, **changed)]


def kill_after(step, pair, victim, workdir):
    """SIGKILL one of two as soon as there is a later checkpoint; how the other ended."""
    wait_until(lambda: steps_in(workdir) and steps_in(workdir)[-1] > step, pair[0])
    pair[victim].kill()
    assert end(pair[victim])[0] == -signal.SIGKILL
    return end(pair[1 - victim], timeout=BOUND)


@pytest.fixture(scope="module")
def story(launch, tmp_path_factory):
    """A run of two processes that lost each of them once and ends as one; how, by part."""
    workdir = tmp_path_factory.mktemp("pair")
    parts = {}
    pair = train_in_pair(launch, workdir, **ENDLESS)
    parts["second killed"] = kill_after(0, pair, 1, workdir)
    known = steps_in(workdir)[-1]
    pair = train_in_pair(launch, workdir, **ENDLESS)
    parts["first killed"] = kill_after(known, pair, 0, workdir)
    parts["second start"] = (known, pair[0].told()[0])
    known = steps_in(workdir)[-1]
    total = known + 2
    alone = train(launch, workdir, **{**ENDLESS, "train.steps": total})
    unbroken = tmp_path_factory.mktemp("unbroken")
    single = train(launch, unbroken, **{**ENDLESS, "train.steps": total})
    parts["alone"] = (known, *end(alone))
    parts["unbroken"] = end(single)
    return parts, workdir, unbroken


def test_when_one_process_is_killed_the_other_ends_and_names_it(story):
    status, _, stderr = story[0]["second killed"]
    assert status == START_AGAIN
    named = r"process 1 of 2 \(.+\) gave no sign of life for 5 s\. Ending process 0 of 2 \(.+\);"
    assert re.search(named, stderr)
    assert "the same command continues from the last checkpoint" in stderr


def test_when_process_0_is_killed_the_other_ends_and_names_it(story):
    # JAX ends the process as soon as its coordinator is gone: which of two is faster is open.
    status, _, stderr = story[0]["first killed"]
    assert status in (START_AGAIN, -signal.SIGABRT)
    assert "process 0 is gone" in stderr or "leader task was preempted/died" in stderr


def test_a_restart_of_all_goes_on(story):
    known, stdout = story[0]["second start"]
    assert f"from step {known} to" in stdout


def test_what_two_saved_one_goes_on_with_and_all_equals_one_that_was_never_disturbed(story):
    parts, workdir, unbroken = story
    known, status, stdout, stderr = parts["alone"]
    assert (status, stderr) == (0, "")
    assert f"from step {known} to {known + 2} on 1 cpu device(s)" in stdout
    assert parts["unbroken"][0] == 0
    actual, expected = rows(workdir), rows(unbroken)
    assert [row["step"] for row in actual] == [row["step"] for row in expected]
    for row, other in zip(actual, expected, strict=True):
        assert row.pop("split") == other["split"]
        assert row == pytest.approx({name: other[name] for name in row}, rel=1e-5)


@pytest.mark.long
def test_processes_that_compute_differently_are_stopped(launch, story):
    # Resumed from what both read, so that they agree at first.
    _, workdir, _ = story
    known = steps_in(workdir)[-1]
    pair = train_in_pair(launch, workdir, second=OTHER_KIND, **ENDLESS)
    ends = [end(process, timeout=120) for process in pair]
    told = re.compile(
        r"Disagreement: at step (\d+) the train states of the processes 1 differ from those of "
        r"the other 1 of 2"
    )
    for status, _, stderr in ends:
        assert status == 1
        (step,) = set(told.findall(stderr))
        assert int(step) > known
    # Nothing was saved that they did not agree on.
    assert steps_in(workdir)[-1] < int(step)


def test_what_one_process_cannot_do_ends_the_other_with_the_reason(launch, tmp_path):
    # A disk that is not mounted on one machine.
    absent = ["--config.data.source=pairs", f"--config.data.dir={tmp_path / 'unmounted'}"]
    pair = train_in_pair(launch, tmp_path / "run", flags_of_second=absent, **ENDLESS)
    reason = "DataError: there is no folder"
    status, _, stderr = end(pair[1], timeout=BOUND)
    assert status == 1
    assert stderr.startswith(reason)
    status, _, stderr = end(pair[0], timeout=BOUND)
    assert status == 1
    assert re.search(rf"process 1 of 2 \(.+\) failed: {reason} .+unmounted", stderr)
