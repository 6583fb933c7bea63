"""A run that hangs says where."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from data.order import Order
from ppcn_jax.processes import START_AGAIN
from tests.faults.runs import train
from tests.processes import end, rows, wait_until

PAIRS, BATCH, HANGS = 80, 2, 30
# Seconds. Nothing else may take as long as the second: not the compiler, which counts as a step.
REPORTED, ENDED = 3.0, 20.0


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two folders of pairs."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for side in ("input", "target"):
        (folder / side).mkdir()
        for index in range(PAIRS + 1):  # and one to test on
            picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(picture).save(folder / side / f"{index:03}.png")
    return folder


def test_a_step_that_waits_for_ever_is_reported_and_ended(launch, photos, tmp_path):
    settings = {
        "data.source": "pairs",
        "data.dir": photos,
        "data.in_memory": False,
        "data.holdout": 1,
        "train.batch_size": BATCH,
        "train.steps": PAIRS,
        "checkpoint.every": 10,
        "hang.report_after": REPORTED,
        "hang.end_after": ENDED,
    }
    process = train(launch, tmp_path, **settings)
    # A file system that stops answering: who opens a pipe waits for its other end.
    wait_until(lambda: (tmp_path / "config.json").exists(), process)
    order = Order(PAIRS, seed=0, batch_size=BATCH)
    for sample in order.samples(order.positions(HANGS - 1)):
        path = photos / "input" / f"{sample:03}.png"
        path.unlink()
        os.mkfifo(path)

    status, _, stderr = end(process, timeout=120)
    assert status == START_AGAIN
    assert rows(tmp_path)[-1]["step"] == HANGS - 1
    report = (tmp_path / "hangs" / "process0.txt").read_text()
    told = f"process 0 of 1 has been waiting for the data of step {HANGS} for"
    for text in (report, stderr):
        assert re.search(rf"{told} \d+ s; the last completed step is {HANGS - 1}\.", text)
        stacks = text.split("Thread 0x")
        assert any("train.py" in stack and "_loop" in stack for stack in stacks)
        assert any("loaders.py" in stack and "_loop" not in stack for stack in stacks)
    assert report.count(told) == 1
    assert re.search(rf"{told} \d+ s; ending, for the same command to be started again", stderr)
