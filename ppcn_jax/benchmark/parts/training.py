"""The student's training step: JAX beside PyTorch, and how much of it is VGG."""

import functools
from collections.abc import Sequence

from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.product_formats import HALF
from ppcn_jax.benchmark.rows import Rows, make_row, reported, timed_rows
from ppcn_jax.benchmark.training_steps import (
    COMPETITORS,
    Step,
    largest_difference,
    make_jax_step,
    open_torch_step,
    synthetic_batch,
    vgg_alone,
)
from ppcn_jax.benchmark.training_work import Batch, step_work, vgg_work
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.training.experiment import Experiment


def measure_training(config, competitors: Sequence[str], *, rounds: int) -> Rows:
    """Time the step.

    Args:
        config: of configs/student.py, with names of files.
        competitors: "PyTorch", "PyTorch compiled"; others are passed over.
        rounds: measured of each.

    Yields:
        A row for JAX, for each competitor, for JAX with VGG and discriminator in bfloat16, and for VGG's part of a step alone. `difference` is the
        largest of the first step's losses, relative to JAX's; a competitor that differs by more
        than 1e-4 is not timed.
    """
    count, side = config.train.batch_size, config.data.crop
    task = f"student's training step, {count} of {side}x{side}"
    experiment, batch = make_experiment(config), synthetic_batch(count, side)
    ours = _our_steps(config, experiment, batch)
    losses = {name: step() for name, step in ours.items()}
    differences = {name: largest_difference(found, losses[JAX]) for name, found in losses.items()}
    runners, problems = {JAX: ours.pop(JAX)}, dict[str, str]()
    for name in competitors:
        if name in COMPETITORS:
            with reported(problems, name):
                run, differences[name], _ = open_torch_step(
                    config, experiment, batch, losses[JAX], name
                )
                runners[name] = functools.partial(run, 1)
    runners |= ours
    parts = {f"{JAX}, VGG alone": vgg_alone(experiment, batch)}
    seconds = take_turns(runners | parts, rounds=rounds)
    alone = {name: seconds.pop(name) for name in parts}
    work = step_work(config, experiment, batch)
    yield from timed_rows(task, seconds, work, {"difference": differences})
    for name, value in alone.items():
        share = value / seconds[name.removesuffix(", VGG alone")]
        yield make_row(
            task,
            name,
            milliseconds=1000 * value,
            ratio=value / seconds[JAX],
            **vgg_work(experiment, batch)._asdict(),
            note=f"{1 - share:.0%} of that step is outside of VGG",
        )
    for name, problem in problems.items():
        yield make_row(task, name, problem=problem)


def _our_steps(config, experiment: Experiment, batch: Batch) -> dict[str, Step]:
    half = config.copy_and_resolve_references()
    half.precision.vgg = half.precision.discriminator = HALF
    steps = {}
    for ending, made in (("", experiment), (", bfloat16", make_experiment(half))):
        steps[JAX + ending] = make_jax_step(made, batch)
    return steps
