"""The student's training step on an accelerator, beside the same step in PyTorch."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ppcn_jax.benchmark.accelerator_kernels import Kernel, profile_kernels
from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.floors import Work
from ppcn_jax.benchmark.product_formats import HALF
from ppcn_jax.benchmark.rows import Rows, make_row, reported, timed_rows
from ppcn_jax.benchmark.training_steps import (
    by_device,
    lower_step,
    open_torch_step,
    repeat_jax_step,
    synthetic_batch,
    vgg_alone,
)
from ppcn_jax.benchmark.training_work import step_work, vgg_work
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.training.experiment import Experiment

VGG = "JAX, VGG alone"
# Kernels of a profile that are named.
LONGEST = 10


class Contest(NamedTuple):
    """The training step in one format, and with whom it competes.

    Attributes:
        config: of configs/student.py.
        experiment: made from it.
        name: of the format of products.
        peak: floating-point operations per second that all devices reach in it.
        competitors: keys of `COMPETITORS`.
    """

    config: Any
    experiment: Experiment
    name: str
    peak: float
    competitors: Sequence[str]


def measure_steps(
    task: str,
    contest: Contest,
    count: int,
    kernels: dict[str, list[Kernel]],
    *,
    rounds: int,
    steps: int,
) -> Rows:
    """Time the step, and find the kernels that JAX's consists of.

    Args:
        task: its name.
        contest: what is compared.
        count: images in a batch, of all devices together.
        kernels: gets those of one step of JAX's, under `task`.
        rounds: measured of each.
        steps: in a round, without waiting for one another.

    Yields:
        A row for JAX, for each competitor and for VGG's part of JAX's step. Memory is what the
        compiled step needs, and the most that PyTorch held. A competitor whose losses are not
        JAX's is not timed: its row says why.
    """
    batch = synthetic_batch(count, contest.config.data.crop)
    part = {key: images[: count // jax.device_count()] for key, images in batch.items()}
    program = lower_step(contest.experiment, part, jax.local_device_count()).compile()
    images = jax.pmap(lambda x: x)(by_device(batch))  # on the devices
    repeat = repeat_jax_step(program, contest.experiment, images)
    losses = repeat(1)
    runs, problems = {JAX: repeat}, dict[str, str]()
    differences: dict[str, float] = {JAX: 0.0}
    megabytes: dict[str, float | None] = {JAX: _megabytes(program)}
    for name in contest.competitors:
        with reported(problems, name):
            runs[name], differences[name], megabytes[name] = open_torch_step(
                contest.config,
                contest.experiment,
                batch,
                losses,
                name,
                device="cuda" if jax.default_backend() == "gpu" else "cpu",
                format=contest.name,
            )
    dtype = jnp.bfloat16 if contest.name == HALF else None
    vgg = vgg_alone(contest.experiment, part, dtype=dtype)
    turns: dict[str, Callable[[], object]] = {
        name: functools.partial(run, steps) for name, run in runs.items()
    }
    turns[VGG] = lambda: [vgg() for _ in range(steps)]
    taken = take_turns(turns, rounds=rounds)
    seconds = {name: value / steps for name, value in taken.items()}
    alone = seconds.pop(VGG)
    work = step_work(contest.config, contest.experiment, batch)
    notes = {
        name: f"{count / value:,.0f} images a second, {_share(work, value, contest)}"
        for name, value in seconds.items()
    }
    columns: dict[str, dict[str, Any]] = {
        "difference": differences,
        "megabytes": megabytes,
        "note": notes,
    }
    yield from timed_rows(task, seconds, work, columns)
    work = vgg_work(contest.experiment, batch)
    yield make_row(
        task,
        VGG,
        milliseconds=1000 * alone,
        ratio=alone / seconds[JAX],
        **work._asdict(),
        note=_share(work, alone, contest),
    )
    for name, problem in problems.items():
        yield make_row(task, name, problem=problem)
    kernels[task] = profile_kernels(functools.partial(repeat, 1), most=LONGEST)


def _share(work: Work, seconds: float, contest: Contest) -> str:
    return f"{work.operations / seconds / contest.peak:.0%} of the peak"


def _megabytes(program: Any) -> float:
    """Memory of a device for a compiled program: arguments, results and what lies between."""
    needs = program.memory_analysis()
    size = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    return (size - needs.alias_size_in_bytes) / 1e6
