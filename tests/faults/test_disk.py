"""A full disk, and a folder that takes no checkpoints, with real file systems and real runs."""

import contextlib
import os
import subprocess
import time

import pytest

from ppcn_jax.runtime.appended import AppendedFile
from ppcn_jax.runtime.errors import is_disk_full
from ppcn_jax.runtime.processes import START_AGAIN
from ppcn_jax.weights.checkpoints import FOLDER, Checkpoints, steps_in
from tests.faults.runs import assert_same_state, read_state, train
from tests.processes import end, last_step, rows, wait_until
from tests.states import assert_same_bits, make_state, restore, save

ENDLESS = 100_000  # steps; the full disk ends the run


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
    """Fill the disk with one file, which is returned."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return ballast


def test_a_run_on_a_full_disk_ends_and_continues_from_its_last_checkpoint(
    launch, small_disk, tmp_path
):
    workdir, uninterrupted = small_disk / "run", tmp_path / "uninterrupted"
    first = train(launch, workdir, **{"train.steps": ENDLESS, "checkpoint.every": 40})
    wait_until(lambda: len(steps_in(workdir)) > 1, first)
    ballast = fill(small_disk)
    status, stdout, stderr = end(first)
    assert status == START_AGAIN
    last_line = stderr.strip().splitlines()[-1]
    assert last_line.startswith(f"the disk of {workdir} is full (")
    assert last_line.endswith("free some space, and the same command continues.")
    assert not list((workdir / FOLDER).glob("*tmp"))
    kept = steps_in(workdir)[-1]

    ballast.unlink()
    steps = kept + 6
    second = train(launch, workdir, **{"train.steps": steps, "checkpoint.every": 40})
    assert (
        end(train(launch, uninterrupted, **{"train.steps": steps, "checkpoint.every": 40}))[0] == 0
    )
    status, stdout, stderr = end(second)
    assert (status, stderr) == (0, "")
    assert f"from step {kept} to {steps}" in stdout
    assert rows(workdir) == rows(uninterrupted)
    assert_same_state(read_state(workdir, steps), read_state(uninterrupted, steps))


def test_logs_on_a_full_disk_end_no_run_and_lose_nothing(launch, small_disk):
    workdir = small_disk / "run"
    changed = {"train.steps": ENDLESS, "checkpoint.every": ENDLESS, "evaluate.every": ENDLESS}
    process = train(launch, workdir, **changed)
    wait_until(lambda: last_step(workdir) > 4, process)
    ballast = fill(small_disk)
    wait_until(lambda: "metrics.jsonl cannot be written" in process.output()[1], process)
    stuck = last_step(workdir)
    wait_until(lambda: f"step {stuck + 100}/{ENDLESS}" in process.output()[0], process)
    assert last_step(workdir) == stuck
    ballast.unlink()
    wait_until(lambda: "metrics.jsonl can be written again" in process.output()[1], process)
    process.terminate()
    status, _, stderr = end(process)
    assert status == START_AGAIN
    assert stderr.count("metrics.jsonl cannot be written") == 1
    assert "Traceback" not in stderr
    trained = [row["step"] for row in rows(workdir) if row["split"] == "train"]
    assert trained == list(range(1, steps_in(workdir)[-1] + 1))


def test_a_partial_record_is_removed(small_disk):
    file = AppendedFile(small_disk / "rows")
    file.append(b"first\n")
    file.flush()
    ballast = fill(small_disk)
    long = b"x" * 5000 + b"\n"
    file.append(long)
    file.flush()
    assert (small_disk / "rows").read_bytes() == b"first\n"
    os.truncate(ballast, 0)
    file.append(b"last\n")
    file.flush()
    file.close()
    assert (small_disk / "rows").read_bytes() == b"first\n" + long + b"last\n"


# Threads of Orbax raise when the save fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_save_that_fails_in_the_background_raises(small_disk):
    with Checkpoints(small_disk, keep=2) as checkpoints:
        save(checkpoints, make_state(1))
    fill(small_disk)
    with (
        pytest.raises((OSError, ValueError)) as caught,
        Checkpoints(small_disk, keep=2) as checkpoints,
    ):
        save(checkpoints, make_state(2, shape=(400, 4)))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            checkpoints.check()
    assert is_disk_full(caught.value)
    with Checkpoints(small_disk, keep=2) as checkpoints:
        assert_same_bits(restore(checkpoints, make_state(0)), make_state(1))


def test_checkpoints_that_cannot_be_written_stop_the_run(launch, tmp_path):
    process = train(launch, tmp_path, **{"train.steps": ENDLESS, "checkpoint.every": 40})
    wait_until(lambda: steps_in(tmp_path), process)
    (tmp_path / FOLDER).rename(tmp_path / "elsewhere")
    (tmp_path / FOLDER).write_text("a file", encoding="utf-8")
    status, _, stderr = end(process, timeout=120)
    assert status == 1
    assert stderr.strip().splitlines()[-1].startswith(("NotADirectoryError:", "FileExistsError:"))
    # The run stopped before the next checkpoint, which would have been lost as well.
    (tmp_path / FOLDER).unlink()
    (tmp_path / "elsewhere").rename(tmp_path / FOLDER)
    kept = steps_in(tmp_path)[-1]
    assert last_step(tmp_path) < kept + 80
