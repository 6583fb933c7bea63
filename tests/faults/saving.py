"""Processes that save and are killed while they do, told apart from this one by forks.

    python -m tests.faults.saving WORKDIR KILLS SEED

Each child compares the newest checkpoint that its predecessor left with what was saved, and saves
the steps after it until it is killed. A fork of a process that has imported everything starts in a
fraction of the time of a new one.
"""

import json
import os
import pathlib
import signal
import sys
import time

import numpy as np

from ppcn_jax.weights.checkpoints import FOLDER, Checkpoints, steps_in
from tests.states import assert_same_bits, make_state, restore, save

PATIENCE = 60.0
SHAPE = (256, 4)


def save_for_ever(workdir: pathlib.Path) -> None:
    """Check the newest checkpoint, tell that it is as saved, and save the next ones."""
    before = steps_in(workdir)
    with Checkpoints(workdir, keep=2) as checkpoints:
        step = 0
        if before:
            state = restore(checkpoints, make_state(0, shape=SHAPE))
            step = int(state.step)
            assert step == before[-1], (step, before)
            assert_same_bits(state, make_state(step, shape=SHAPE))
        (workdir / "checked").write_text(str(os.getpid()))
        while True:
            step += 1
            save(checkpoints, make_state(step, shape=SHAPE))
            checkpoints.check()


def kill_while_saving(workdir: pathlib.Path, rng: np.random.Generator) -> bool:
    """Start a process, kill it somewhere in a save; whether it left half a checkpoint."""
    child = os.fork()
    if not child:
        save_for_ever(workdir)
    checked, deadline = workdir / "checked", time.monotonic() + PATIENCE
    wanted = newest(workdir) + rng.integers(3)  # checkpoints of its own before it is killed
    while not (
        checked.exists()
        and checked.read_text() == str(child)
        and newest(workdir) >= wanted
        and partial(workdir)
    ):
        if os.waitpid(child, os.WNOHANG)[0] or time.monotonic() > deadline:
            sys.exit("a process could not go on from what the one before it had left")
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return bool(partial(workdir))


def newest(workdir: pathlib.Path) -> int:
    """Step of the newest complete checkpoint."""
    return max(steps_in(workdir), default=0)


def partial(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Checkpoints that are being written, or were."""
    return list((workdir / FOLDER).glob("*.orbax-checkpoint-tmp"))


if __name__ == "__main__":
    folder, kills, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    generator = np.random.default_rng(seed)
    halves = [kill_while_saving(folder, generator) for _ in range(kills)]
    damaged = [path.name for path in (folder / FOLDER).glob("*.damaged")]
    print(json.dumps({"halves": sum(halves), "damaged": damaged, "steps": steps_in(folder)}))
