"""A run that hangs reports where."""

import os
import re

from ppcn_jax.runtime.processes import START_AGAIN
from tests.faults.runs import train
from tests.processes import end, last_step, wait_until

# Seconds. No step may take longer than the second, including the first, which compiles.
REPORT_AFTER, END_AFTER = 3.0, 20.0


def test_a_step_that_waits_forever_is_reported_and_ended(launch, tmp_path):
    settings = {"train.steps": 1_000_000, "checkpoint.every": 1_000_000}
    hang = {"hang.report_after": REPORT_AFTER, "hang.end_after": END_AFTER}
    process = train(launch, tmp_path, **settings, **hang)
    wait_until(lambda: last_step(tmp_path) > 2, process)
    # This acts like a file system that hangs: opening a pipe waits for its other end.
    pipe, metrics = tmp_path / "pipe", tmp_path / "metrics.jsonl"
    os.mkfifo(pipe)
    pipe.rename(metrics)

    status, _, stderr = end(process, timeout=120)
    assert status == START_AGAIN
    report = (tmp_path / "hangs" / "process0.txt").read_text(encoding="utf-8")
    subject = r"process 0 of 1 has been running step (\d+) for \d+ s; "
    for text in (report, stderr):
        # The first step may have been reported before, while it compiled.
        last = text[
            text.rindex("process 0 of 1 has been running step", 0, text.rindex("Thread 0x")) :
        ]
        step, completed = re.match(subject + r"the last completed step is (\d+)\.", last).groups()
        assert int(step) == int(completed) > 2
        stacks = last.split("Thread 0x")
        assert any("appended.py" in stack and "_loop" in stack for stack in stacks)
        assert any("watchdog.py" in stack and "_loop" not in stack for stack in stacks)
    steps = re.findall(subject, report)
    assert len(steps) == len(set(steps))
    assert re.search(subject + r"ending\. Start the same command again", stderr)
