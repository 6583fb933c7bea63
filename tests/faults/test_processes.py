"""Several processes: they agree, and when one is gone, the others name it and end."""

import os
import re
import shutil
import signal
import socket
import sys

import pytest

from ppcn_jax.runtime.processes import FAULTY_DEVICE, START_AGAIN
from ppcn_jax.weights.checkpoints import steps_in
from tests.faults.runs import train
from tests.processes import ENVIRONMENT, Launched, end, rows, wait_until

TWO_DEVICES = "--xla_force_host_platform_device_count=2"
# Without fused multiply-add, which rounds once less.
OTHER_KIND = f"{TWO_DEVICES} --xla_cpu_max_isa=SSE4_2"
SILENCE = 5  # seconds
BOUND = 60  # seconds within which the others must end; most of it allows for a busy machine
ENDLESS = {"train.steps": 100_000, "checkpoint.every": 2}


def free_port():
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def train_in_pair(launch, workdir, second=TWO_DEVICES, flags_of_second=(), port=None, **changed):
    """Start two processes with two devices each."""
    port = port or free_port()
    flags = [f"--coordinator=localhost:{port}", "--process_count=2", f"--silence={SILENCE}"]
    first = train(launch, workdir, *flags, "--process_index=0", xla_flags=TWO_DEVICES, **changed)
    flags += ["--process_index=1", *flags_of_second]
    return [first, train(launch, workdir, *flags, xla_flags=second, **changed)]


def kill_after(step, pair, victim, workdir):
    """Kill one of two after the next checkpoint; return how the other ended."""
    wait_until(lambda: steps_in(workdir) and steps_in(workdir)[-1] > step, pair[0])
    pair[victim].kill()
    assert end(pair[victim])[0] == -signal.SIGKILL
    return end(pair[1 - victim], timeout=BOUND)


@pytest.fixture(scope="module")
def story(launch, tmp_path_factory):
    """A run of two processes that loses each of them once and is finished by one process.

    Returns how the processes of each part ended, the workdir, and that of an undisturbed run.
    """
    workdir = tmp_path_factory.mktemp("pair")
    parts = {}
    pair = train_in_pair(launch, workdir, **ENDLESS)
    parts["second killed"] = kill_after(0, pair, 1, workdir)
    known = steps_in(workdir)[-1]
    pair = train_in_pair(launch, workdir, **ENDLESS)
    parts["first killed"] = kill_after(known, pair, 0, workdir)
    parts["second start"] = (known, pair[0].output()[0])
    known = steps_in(workdir)[-1]
    total = known + 2
    alone = train(launch, workdir, **{**ENDLESS, "train.steps": total})
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    single = train(launch, undisturbed, **{**ENDLESS, "train.steps": total})
    parts["alone"] = (known, *end(alone))
    parts["undisturbed"] = end(single)
    return parts, workdir, undisturbed


def test_when_one_process_is_killed_the_other_ends_and_names_it(story):
    status, _, stderr = story[0]["second killed"]
    assert status == START_AGAIN
    named = r"process 1 of 2 \(.+\) gave no sign of life for 5 s\. Ending process 0 of 2 \(.+\);"
    assert re.search(named, stderr)
    assert "the same command continues from the last checkpoint" in stderr


def test_when_process_0_is_killed_the_other_ends_and_names_it(story):
    # JAX also aborts the process when its coordinator is gone; either may be first.
    status, _, stderr = story[0]["first killed"]
    assert status in (START_AGAIN, -signal.SIGABRT)
    assert "process 0 is gone" in stderr or "leader task was preempted/died" in stderr


def test_a_restart_of_all_processes_continues(story):
    known, stdout = story[0]["second start"]
    assert f"from step {known} to" in stdout


def test_one_process_continues_what_two_saved_and_all_rows_equal_an_undisturbed_run(story):
    parts, workdir, undisturbed = story
    known, status, stdout, stderr = parts["alone"]
    assert (status, stderr) == (0, "")
    assert f"from step {known} to {known + 2} on 1 cpu device(s)" in stdout
    assert parts["undisturbed"][0] == 0
    actual, expected = rows(workdir), rows(undisturbed)
    assert [row["step"] for row in actual] == [row["step"] for row in expected]
    for row, other in zip(actual, expected, strict=True):
        assert row.pop("split") == other["split"]
        assert row == pytest.approx({name: other[name] for name in row}, rel=1e-5)


@pytest.mark.long
def test_processes_that_compute_differently_are_stopped(launch, story):
    # They resume from the same checkpoint, so that they agree at first.
    _, workdir, _ = story
    known = steps_in(workdir)[-1]
    pair = train_in_pair(launch, workdir, second=OTHER_KIND, **ENDLESS)
    ends = [end(process, timeout=120) for process in pair]
    message = re.compile(
        r"Disagreement: at step (\d+) the train states of the processes 1 differ from those of "
        r"the other 1 of 2"
    )
    for status, _, stderr in ends:
        assert status == 1
        (step,) = set(message.findall(stderr))
        assert int(step) > known
    # They saved only states on which they agreed.
    assert steps_in(workdir)[-1] < int(step)


@pytest.mark.long
def test_an_audit_that_fails_ends_all_processes_and_names_the_devices(launch, story, tmp_path):
    workdir = tmp_path / "audited"
    shutil.copytree(story[1], workdir)
    known = steps_in(workdir)[-1]
    pair = train_in_pair(launch, workdir, second=OTHER_KIND, **{**ENDLESS, "audit.every": 1})
    for process in pair:
        status, _, stderr = end(process, timeout=120)
        assert status == FAULTY_DEVICE
        # Each process suspects the other's devices: of four, two comparisons fail.
        (line,) = set(re.findall(rf"at step {known + 1} (.*) computes wrong results", stderr))
        assert [f"process {k}" in line for k in (0, 1)] == [True, True]
    assert steps_in(workdir)[-1] == known


def test_an_error_in_one_process_ends_the_other_with_the_reason(launch, tmp_path):
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


# A process that does not come to an exchange, although it lives.
LATE = """
import sys, time
import numpy as np
from jax import lax
from ppcn_jax.runtime.processes import SharedFate, join_processes
from ppcn_jax.steps.parallel import AXIS, on_each_device, replicate, to_host
index = int(sys.argv[1])
join_processes("localhost:" + sys.argv[2], 2, index, detect=False, silence=2.0)
fate = SharedFate(silence=2.0)
try:
    with fate:
        if index == 1:
            time.sleep(300)
        to_host(on_each_device(lambda x: lax.psum(x, AXIS))(replicate(np.ones(1, np.float32))))
except Exception as error:
    fate.leave_after(error, "W")
"""


@pytest.mark.long
def test_an_exchange_that_fails_ends_all_with_the_status_for_another_start(tmp_path):
    # Takes the 30 s after which JAX gives up.
    port, pair = str(free_port()), []
    for index in range(2):
        folder = tmp_path / str(index)
        folder.mkdir()
        command = [sys.executable, "-c", LATE, str(index), port]
        pair.append(Launched(command, os.environ | ENVIRONMENT, folder))
    (status, _, stderr), other = map(end, pair)
    assert (status, other[0]) == (START_AGAIN, START_AGAIN)
    assert re.search(r"^process 0 of 2 .+Gloo .+ the same command continues", stderr, re.MULTILINE)
    assert re.search(r"process 0 of 2 .+ failed: JaxRuntimeError: .*Gloo", other[2])
