"""Runs whose workdir is in a bucket, emulated on this machine: killed, resumed, several processes."""

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from ppcn_jax.runtime.lock_file import FILE
from ppcn_jax.runtime.processes import START_AGAIN
from ppcn_jax.runtime.storage import objects_below
from ppcn_jax.weights.checkpoints import FOLDER, steps_in
from tests.faults.runs import assert_same_state, read_state, train
from tests.faults.test_processes import BOUND, TWO_DEVICES, train_in_pair
from tests.processes import REPOSITORY, end, rows, wait_until

STEPS, EVERY = 12, 4
SHORT = {"train.steps": STEPS, "checkpoint.every": EVERY, "checkpoint.keep": 1}
KILLS = 20
SEED = 18  # determines which process is killed, and when


@pytest.fixture(scope="module")
def uninterrupted(launch, tmp_path_factory):
    """A local workdir with two devices, as in a pair of processes with one each."""
    workdir = tmp_path_factory.mktemp("uninterrupted")
    assert end(train(launch, workdir, xla_flags=TWO_DEVICES, **SHORT))[0] == 0
    return workdir


@pytest.mark.long
def test_a_run_in_a_bucket_is_killed_and_continues_to_the_same_bits(launch, bucket, tmp_path):
    assert end(train(launch, tmp_path, **SHORT))[0] == 0
    process = train(launch, bucket, **SHORT)
    wait_until(lambda: steps_in(bucket), process)
    process.send_signal(signal.SIGSTOP)  # or it would be done before the second has started
    # The same command a second time ends at once and names the first.
    second = train(launch, bucket, **SHORT)
    status, _, stderr = end(second)
    assert status == START_AGAIN
    assert f"{bucket} is in use by process {process.pid} on" in stderr
    process.kill()
    assert process.wait() == -signal.SIGKILL

    process = train(launch, bucket, **SHORT)
    status, stdout, stderr = end(process)
    assert (status, "Traceback" in stderr) == (0, False), stderr
    assert "is taken over from process" in stdout and f"to {STEPS} on" in stdout
    assert rows(bucket) == rows(tmp_path)
    assert steps_in(bucket) == steps_in(tmp_path) == [STEPS]
    assert_same_state(read_state(bucket, STEPS), read_state(tmp_path, STEPS))
    names = {path.relative_to(bucket).parts[0] for path in objects_below(bucket)}
    local = {path.name for path in tmp_path.iterdir()}
    assert names == local and FILE not in names
    assert (bucket / "config.json").read_bytes() == (tmp_path / "config.json").read_bytes()

    command = [sys.executable, "launch.py", "--config=configs/evaluate.py"]
    fields = [
        f"--config.weights={bucket}",
        "--config.data.source=synthetic",
        "--config.data.crop=16",
    ]
    command += [f"--workdir={bucket / 'scores'}", *fields]
    done = subprocess.run(
        command,
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        env=os.environ,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert (bucket / "scores" / "results.json").is_file()


def last_saved(workdir):
    return steps_in(workdir)[-1] if steps_in(workdir) else 0


def kill_one_of_two(launch, workdir, rng):
    """Start a pair, kill one of its processes after one or two checkpoints; the other ends.

    Returns False if both ended before that, because the machine was so busy that one was 30 s late.
    """
    pair = train_in_pair(launch, workdir, **SHORT | {"train.steps": 100_000})
    wanted = last_saved(workdir) + EVERY * rng.integers(1, 3)
    # In this order: the bucket is slow to answer, and the process may end meanwhile.
    wait_until(lambda: last_saved(workdir) >= wanted or pair[0].poll() == START_AGAIN, pair[0])
    late, victim = pair[0].poll() == START_AGAIN, int(rng.integers(2))
    if late:
        victim = 0  # has ended itself
    else:
        pair[victim].kill()
        assert end(pair[victim])[0] == -signal.SIGKILL
    assert end(pair[1 - victim], timeout=BOUND)[0] in (START_AGAIN, -signal.SIGABRT)
    return not late


@pytest.mark.long
@pytest.mark.parametrize("kills", [1, KILLS])
def test_two_processes_over_a_bucket_survive_random_kills(launch, bucket, uninterrupted, kills):
    rng = np.random.default_rng(SEED)
    starts = (kill_one_of_two(launch, bucket, rng) for _ in range(2 * kills))
    assert sum(itertools.islice(filter(None, starts), kills)) == kills
    last = last_saved(bucket) + EVERY
    pair = train_in_pair(launch, bucket, **SHORT | {"train.steps": last})
    assert [end(process)[0] for process in pair] == [0, 0]
    assert steps_in(bucket)[-1] == last
    steps = [row["step"] for row in rows(bucket) if row["split"] == "train"]
    assert steps == list(range(1, last + 1))
    known = [row for row in rows(uninterrupted) if row["split"] == "train"]
    for ours, theirs in zip(rows(bucket), known, strict=False):
        for name in set(theirs) - {"split"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5), (ours["step"], name)
    damaged = [path for path in objects_below(bucket / FOLDER) if ".damaged" in str(path)]
    assert damaged == []
