"""Forks processes that save checkpoints, and kills them while they save.

    python -m tests.faults.saving WORKDIR KILLS SEED

Each child compares the newest checkpoint of its predecessor with what was saved, and saves the next
steps until it is killed. A fork of a process that has imported everything starts much faster than
a new process.
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


def save_until_killed(workdir: pathlib.Path) -> None:
    """Check the newest checkpoint, report success in a file, and save the next ones."""
    before = steps_in(workdir)
    with Checkpoints(workdir, keep=2) as checkpoints:
        step = 0
        if before:
            state = restore(checkpoints, make_state(0, shape=SHAPE))
            step = int(state.step)
            assert step == before[-1], (step, before)
            assert_same_bits(state, make_state(step, shape=SHAPE))
        (workdir / "checked").write_text(str(os.getpid()), encoding="utf-8")
        while True:
            step += 1
            save(checkpoints, make_state(step, shape=SHAPE))
            checkpoints.check()


def kill_while_saving(workdir: pathlib.Path, rng: np.random.Generator) -> bool:
    """Start a process and kill it during a save; True if it left a partial checkpoint."""
    child = os.fork()
    if not child:
        save_until_killed(workdir)
    checked, deadline = workdir / "checked", time.monotonic() + PATIENCE
    wanted = newest(workdir) + rng.integers(3)  # it completes up to two checkpoints
    while not (
        checked.exists()
        and checked.read_text(encoding="utf-8") == str(child)
        and newest(workdir) >= wanted
        and partial(workdir)
    ):
        if os.waitpid(child, os.WNOHANG)[0] or time.monotonic() > deadline:
            sys.exit("a process could not continue from the checkpoints of the one before it")
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return bool(partial(workdir))


def newest(workdir: pathlib.Path) -> int:
    """Step of the newest complete checkpoint."""
    return max(steps_in(workdir), default=0)


def partial(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Partial checkpoints."""
    return list((workdir / FOLDER).glob("*.orbax-checkpoint-tmp"))


if __name__ == "__main__":
    folder, kills, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    generator = np.random.default_rng(seed)
    halves = [kill_while_saving(folder, generator) for _ in range(kills)]
    damaged = [path.name for path in (folder / FOLDER).glob("*.damaged")]
    print(json.dumps({"halves": sum(halves), "damaged": damaged, "steps": steps_in(folder)}))
