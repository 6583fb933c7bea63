"""The student's training step: JAX in float32 and bfloat16, PyTorch, and VGG's share of the time."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.peaks import FLOAT32, HALF
from ppcn_jax.benchmark.rows import Rows
from ppcn_jax.benchmark.training_steps import (
    COMPETITORS,
    VGG,
    compare_steps,
    make_jax_step,
    make_setup,
    synthetic_batch,
)


def measure_training(config: ConfigDict, competitors: Sequence[str], *, rounds: int) -> Rows:
    """Time the step of a configuration of the student that names all files.

    Yields a row for JAX, for each competitor that has a training step, for JAX with VGG and
    discriminator in bfloat16, and for VGG's part of JAX's step.
    """
    count, side = config.train.batch_size, config.data.crop
    batch = synthetic_batch(count, side)
    others = [name for name in competitors if name in COMPETITORS]
    setup = make_setup(config, FLOAT32, others)
    ours = {
        JAX: make_jax_step(setup.experiment, batch),
        f"{JAX}, {HALF}": make_jax_step(make_setup(config, HALF).experiment, batch),
    }
    task = f"student's training step, {count} of {side}x{side}"
    for row in compare_steps(task, setup, batch, ours, rounds=rounds):
        if row["name"] == VGG:
            row["note"] = f"{1 - row['ratio']:.0%} of that step is outside of VGG"
        yield row
