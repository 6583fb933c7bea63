"""The student's training step: JAX's, PyTorch's, and VGG's part of it, timed in turn."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.floors import step_work, vgg_of, vgg_work
from ppcn_jax.benchmark.peaks import FLOAT32, HALF
from ppcn_jax.benchmark.pytorch.training import open_torch_step, run_with_peak_memory
from ppcn_jax.benchmark.rows import Rows, make_row, record_problem, timed_rows
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.models.definitions import Params
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.objective import LOSSES
from ppcn_jax.steps.parallel import Batch, parallelize, replicate, to_devices, to_host
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.training.experiment import Experiment

# Name -> use torch.compile.
COMPETITORS = {"PyTorch": False, "PyTorch compiled": True}
VGG = f"{JAX}, VGG alone"
# Largest relative difference of a loss from JAX's, with exact and with rounded products.
MOST, MOST_ROUNDED = 1e-4, 0.05

# `run(steps=1)` makes that many steps and, when the last is done, returns its losses.
Repeat = Callable[..., dict[str, float]]


class Setup(NamedTuple):
    """A training step in one number format, and what it is compared with."""

    config: ConfigDict  # of the student
    experiment: Experiment  # made from `config`
    format: str  # of products, a key of `peaks.FORMATS`
    competitors: Sequence[str]  # keys of `COMPETITORS`


def make_setup(config: ConfigDict, format: str, competitors: Sequence[str] = ()) -> Setup:
    """Build the experiment in a format; see `in_format`."""
    config = in_format(config, format)
    return Setup(config, make_experiment(config), format, competitors)


def in_format(config: ConfigDict, format: str) -> ConfigDict:
    """A copy of a configuration with all trained networks and VGG in a format.

    If it is bfloat16, the generator keeps the format that it has.
    """
    config = config.copy_and_resolve_references()
    config.precision.vgg = config.precision.discriminator = format
    if format != HALF:
        config.precision.generator = format
    return config


def synthetic_batch(count: int, side: int) -> Batch:
    """Patches of a synthetic photo, with brighter ones as targets.

    Returns `{"input", "target"}`, uint8 `[count, side, side, 3]`.
    """
    photo = synthetic_photo(side, side * count)
    patches = np.stack(np.split(photo, count, axis=1))
    return {"input": patches, "target": to_uint8((patches / 255) ** 0.8)}


def make_jax_step(
    experiment: Experiment, batch: Batch, program: Callable[..., Any] | None = None
) -> Repeat:
    """The step as training runs it, repeated on one batch of all local devices.

    The batch is copied to the devices once. Without `program`, a compiled step, the first call
    compiles it.
    """
    program = program or parallelize(experiment.step)
    devices = jax.local_device_count()
    images = to_devices({k: x.reshape(devices, -1, *x.shape[1:]) for k, x in batch.items()})
    replicas, frozen = replicate(experiment.state), replicate(experiment.frozen)

    def run(steps: int = 1) -> dict[str, float]:
        nonlocal replicas
        for _ in range(steps):
            replicas, metrics = program(replicas, images, frozen)
        return {name: float(value) for name, value in to_host(metrics).items()}

    return run


def lower_step(
    experiment: Experiment, batch: Mapping[str, np.ndarray], devices: Sequence[jax.Device]
) -> Any:
    """Trace and lower the step for devices without compiling it or computing anything.

    `batch` is that of one device; only its shapes and types are used. The devices may be those of
    a topology, which need not exist.
    """

    def on_devices(tree: Any) -> Any:
        count = len(devices)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), tree)

    step: Any = parallelize(experiment.step, devices)
    return step.lower(*map(on_devices, (experiment.state, batch, experiment.frozen)))


def one_device(batch: Batch) -> Batch:
    """The part of a batch of all devices that the first one gets."""
    return {name: images[: len(images) // jax.device_count()] for name, images in batch.items()}


def compare_steps(
    task: str,
    setup: Setup,
    batch: Batch,
    ours: Mapping[str, Repeat],
    *,
    rounds: int,
    steps: int = 1,
) -> Rows:
    """Time steps of JAX and PyTorch on a batch of all devices, and VGG's part of JAX's step.

    In `ours`, "JAX" is the reference. A measurement takes `steps` steps, dispatched without
    waiting for each other. `difference` is the largest of the first step's losses, relative to
    JAX's; a competitor for which it is too large is not timed, and its row says why.

    Yields:
        Rows of JAX, the competitors, JAX's other steps, VGG, and competitors with a problem.
    """
    config, experiment, format, competitors = setup
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    most = MOST if format == FLOAT32 else MOST_ROUNDED
    losses = {name: run() for name, run in ours.items()}
    differences = {name: _difference(found, losses[JAX]) for name, found in losses.items()}
    runs, megabytes, problems = {JAX: ours[JAX]}, dict[str, float | None](), dict[str, str]()
    for name in competitors:
        with record_problem(problems, name):
            compiled = COMPETITORS[name]
            run = open_torch_step(
                config, experiment, batch, compiled=compiled, device=device, format=format
            )
            found, megabytes[name] = run_with_peak_memory(run, device)
            differences[name] = _difference(found, losses[JAX])
            if not differences[name] <= most:
                raise InputError(f"its losses differ from JAX's by {differences[name]:.1e}")
            runs[name] = run
    runs |= ours
    vgg = _vgg_alone(experiment, one_device(batch), config.precision.vgg)
    turns: dict[str, Callable[[], object]]
    turns = {name: functools.partial(run, steps) for name, run in runs.items()}
    turns[VGG] = lambda: [vgg() for _ in range(steps)]
    times = take_turns(turns, rounds=rounds)
    seconds = {name: value / steps for name, value in times.items()}
    vgg_seconds = seconds.pop(VGG)
    columns: dict[str, Mapping[str, Any]]
    columns = {"difference": differences, "megabytes": megabytes}
    yield from timed_rows(task, seconds, step_work(experiment, batch), columns)
    yield make_row(
        task,
        VGG,
        milliseconds=1000 * vgg_seconds,
        ratio=vgg_seconds / seconds[JAX],
        **vgg_work(experiment, batch)._asdict(),
    )
    for name, problem in problems.items():
        yield make_row(task, name, problem=problem)


def _difference(losses: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """Largest relative difference between the losses that two steps have in common."""
    names = {*LOSSES, "total", "discriminator_loss"} & losses.keys()
    return max(abs(losses[name] / expected[name] - 1) for name in names)


def _vgg_alone(experiment: Experiment, batch: Batch, precision: str) -> Callable[[], object]:
    """VGG's part of a step on one device: features of both images, and the gradient of one.

    The returned function waits for the result.
    """
    vgg = vgg_of(experiment, precision)

    @jax.jit
    def run(params: Params, images: jax.Array, targets: jax.Array) -> object:
        features, pull_back = jax.vjp(functools.partial(vgg.apply, {"params": params}), images)
        return features, pull_back(vgg.apply({"params": params}, targets))

    images, targets = (jnp.asarray(batch[name], jnp.float32) / 255 for name in ("input", "target"))
    params = jax.device_put(experiment.frozen["vgg"])
    return lambda: jax.block_until_ready(run(params, images, targets))
