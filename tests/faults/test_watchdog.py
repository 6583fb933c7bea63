"""A run that hangs says where."""

import os
import re

from ppcn_jax.runtime.processes import START_AGAIN
from tests.faults.runs import train
from tests.processes import end, last_step, wait_until

# Seconds. Nothing else may take as long as the second: not the compiler, which counts as a step.
REPORTED, ENDED = 3.0, 20.0


def test_a_step_that_waits_for_ever_is_reported_and_ended(launch, tmp_path):
    settings = {"train.steps": 1_000_000, "checkpoint.every": 1_000_000}
    hang = {"hang.report_after": REPORTED, "hang.end_after": ENDED}
    process = train(launch, tmp_path, **settings, **hang)
    wait_until(lambda: last_step(tmp_path) > 2, process)
    # A file system that stops answering: who opens a pipe waits for its other end.
    pipe, metrics = tmp_path / "pipe", tmp_path / "metrics.jsonl"
    os.mkfifo(pipe)
    pipe.rename(metrics)

    status, _, stderr = end(process, timeout=120)
    assert status == START_AGAIN
    report = (tmp_path / "hangs" / "process0.txt").read_text()
    told = r"process 0 of 1 has been running step (\d+) for \d+ s; "
    for text in (report, stderr):
        # The first step's compiler may have been told of before.
        last = text[
            text.rindex("process 0 of 1 has been running step", 0, text.rindex("Thread 0x")) :
        ]
        step, completed = re.match(told + r"the last completed step is (\d+)\.", last).groups()
        assert int(step) == int(completed) > 2
        stacks = last.split("Thread 0x")
        assert any("appended.py" in stack and "_loop" in stack for stack in stacks)
        assert any("watchdog.py" in stack and "_loop" not in stack for stack in stacks)
    steps = re.findall(told, report)
    assert len(steps) == len(set(steps))
    assert re.search(told + "ending, for the same command to be started again", stderr)
