"""The student's training step on an accelerator, beside the same step in PyTorch."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.floors import Work
from ppcn_jax.benchmark.formats import HALF
from ppcn_jax.benchmark.kernels import Kernel, profile_kernels
from ppcn_jax.benchmark.rows import Rows, make_row, reported, timed_rows
from ppcn_jax.benchmark.torch_training import (
    allow_tensorfloat32,
    make_torch_step,
    repeat_torch_step,
    with_peak_memory,
)
from ppcn_jax.benchmark.training import (
    Batch,
    largest_difference,
    step_work,
    synthetic_batch,
    vgg_alone,
    vgg_work,
)
from ppcn_jax.errors import InputError
from ppcn_jax.experiment import Experiment
from ppcn_jax.parallel import parallelize, replicate, to_host
from ppcn_jax.timing import take_turns

VGG = "JAX, VGG alone"
# By whether the step is compiled.
COMPETITORS = {"PyTorch": False, "PyTorch compiled": True}
# Largest difference of the first step's losses, relative to JAX's: in float32, otherwise.
MOST = {"float32": 1e-4}
MOST_ROUNDED = 0.05

# Makes so many steps, and returns the losses of the last when it is done.
Repeat = Callable[[int], dict[str, float]]


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
    most: int,
) -> Rows:
    """Time the step, and find the kernels that JAX's consists of.

    Args:
        task: its name.
        contest: what is compared.
        count: images in a batch, of all devices together.
        kernels: gets those of one step of JAX's, under `task`.
        rounds: measured of each.
        steps: in a round, without waiting for one another.
        most: how many kernels.

    Yields:
        A row for JAX, for each competitor and for VGG's part of JAX's step. Memory is what the
        compiled step needs, and the most that PyTorch held. A competitor whose losses are not
        JAX's is not timed: its row says why.
    """
    batch = synthetic_batch(count, contest.config.data.crop)
    program, repeat = _open_step(contest.experiment, batch)
    columns: dict[str, dict[str, Any]] = {
        "difference": {JAX: 0.0},
        "megabytes": {JAX: _megabytes(program)},
    }
    problems: dict[str, str] = {}
    runs = {JAX: repeat, **_open_competitors(contest, batch, repeat(1), columns, problems)}
    part = {key: images[: count // jax.device_count()] for key, images in batch.items()}
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
    columns["note"] = {
        name: f"{count / value:,.0f} images a second, {_share(work, value, contest)}"
        for name, value in seconds.items()
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
    kernels[task] = profile_kernels(functools.partial(repeat, 1), most=most)


def _share(work: Work, seconds: float, contest: Contest) -> str:
    return f"{work.operations / seconds / contest.peak:.0%} of the peak"


def _open_competitors(
    contest: Contest,
    batch: Batch,
    losses: dict[str, float],
    columns: dict[str, dict[str, Any]],
    problems: dict[str, str],
) -> dict[str, Repeat]:
    """PyTorch's steps that compute JAX's losses, with what is known of them for the table."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    runs = {}
    for name in contest.competitors:
        with reported(problems, name):
            allow_tensorfloat32(contest.name != "float32")
            step = make_torch_step(
                contest.config,
                contest.experiment,
                compiled=COMPETITORS[name],
                device=device,
                half=contest.name == HALF,
            )
            run = repeat_torch_step(step, batch, contest.config.train.seed, device)
            found, columns["megabytes"][name] = with_peak_memory(run, device)
            columns["difference"][name] = difference = largest_difference(found, losses)
            if not difference <= MOST.get(contest.name, MOST_ROUNDED):
                raise InputError(f"computes other losses: by {difference:.1e} of JAX's")
            runs[name] = run
    return runs


def _open_step(experiment: Experiment, batch: Batch) -> tuple[Any, Repeat]:
    """The compiled step, and what repeats it on one batch that is on the devices."""
    devices = jax.local_device_count()
    images = jax.pmap(lambda x: x)(
        {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}
    )
    replicas, frozen = replicate(experiment.state), replicate(experiment.frozen)
    step: Any = parallelize(experiment.step)
    program = step.lower(replicas, images, frozen).compile()

    def repeat(steps: int) -> dict[str, float]:
        nonlocal replicas
        for _ in range(steps):
            replicas, metrics = program(replicas, images, frozen)
        return {name: float(value) for name, value in to_host(metrics).items()}

    return program, repeat


def _megabytes(program: Any) -> float:
    """Memory of a device for a compiled program: arguments, results and what lies between."""
    needs = program.memory_analysis()
    size = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    return (size - needs.alias_size_in_bytes) / 1e6
