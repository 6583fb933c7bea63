"""The student's training step, ready to run: JAX's, PyTorch's, and VGG's part alone."""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ppcn_jax.benchmark.product_formats import FLOAT32, HALF
from ppcn_jax.benchmark.pytorch.training import (
    allow_tensorfloat32,
    make_torch_step,
    repeat_torch_step,
    with_peak_memory,
)
from ppcn_jax.benchmark.random_weights import random_model, write_random_vgg
from ppcn_jax.benchmark.training_work import Batch, vgg_of
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.objective import LOSSES
from ppcn_jax.steps.parallel import parallelize, replicate, to_host
from ppcn_jax.training.experiment import Experiment
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.safetensors_file import write_native
from ppcn_jax.weights.vgg import load_vgg

# By whether the step is compiled.
COMPETITORS = {"PyTorch": False, "PyTorch compiled": True}
# Largest difference of a loss from JAX's, relative to it: of products in float32, and rounded ones.
MOST, MOST_ROUNDED = 1e-4, 0.05

Step = Callable[[], dict[str, float]]
# Makes so many steps, one after another, and returns the losses of the last when it is done.
Repeat = Callable[[int], dict[str, float]]


def complete(config, folder: pathlib.Path):
    """A training configuration that has all it needs, by random networks where it names none.

    Args:
        config: of configs/student.py; `vgg.weights` and `teacher` may be empty.
        folder: where random networks are written.

    Returns:
        A copy that names files.

    Raises:
        InputError: a file that is named and cannot be read.
    """
    config = config.copy_and_resolve_references()
    if config.vgg.weights:
        load_vgg(config.vgg.weights)
    else:
        config.vgg.weights = str(folder / "vgg.npz")
        write_random_vgg(folder / "vgg.npz")
    if config.teacher:
        load_model(config.teacher)
    else:
        config.teacher = str(folder / "teacher.safetensors")
        write_native(config.teacher, random_model("teacher"))
    return config


def synthetic_batch(count: int, side: int) -> Batch:
    """Patches of a synthetic photo, and as targets the same with more light.

    Args:
        count: of patches.
        side: of each, px.

    Returns:
        `{"input", "target"}`, uint8 `[count, side, side, 3]`.
    """
    photo = synthetic_photo(side, side * count)
    patches = np.stack(np.split(photo, count, axis=1))
    return {"input": patches, "target": np.rint(255 * (patches / 255) ** 0.8).astype(np.uint8)}


def make_jax_step(experiment: Experiment, batch: Batch) -> Step:
    """The step as `train` runs it, always on one batch.

    Args:
        experiment: its first state is where the step starts.
        batch: on the host.

    Returns:
        `step() -> losses`.
    """
    program = parallelize(experiment.step)
    return functools.partial(repeat_jax_step(program, experiment, by_device(batch)), 1)


def by_device(batch: Batch) -> Batch:
    """A batch `[N, ...]` as `[devices, N / devices, ...]`, of the local devices."""
    devices = jax.local_device_count()
    return {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}


def repeat_jax_step(program: Callable, experiment: Experiment, images: Mapping[str, Any]) -> Repeat:
    """A step, again and again on one batch.

    Args:
        program: the step, of `parallelize` or compiled.
        experiment: its first state is where the step starts.
        images: of `by_device`, on the host or on the devices.

    Returns:
        What repeats it.
    """
    replicas, frozen = replicate(experiment.state), replicate(experiment.frozen)

    def run(steps: int) -> dict[str, float]:
        nonlocal replicas
        for _ in range(steps):
            replicas, metrics = program(replicas, images, frozen)
        return {name: float(value) for name, value in to_host(metrics).items()}

    return run


def lower_step(experiment: Experiment, batch: Batch, devices: int) -> Any:
    """The step for so many devices, lowered but not compiled; nothing is computed.

    Args:
        experiment: whose step it is.
        batch: of the shapes and types of one device's.
        devices: how many.

    Returns:
        As of `jax.pmap(...).lower`.
    """

    def on_devices(tree: Any) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((devices, *x.shape), x.dtype), tree)

    step: Any = parallelize(experiment.step)
    return step.lower(*map(on_devices, (experiment.state, batch, experiment.frozen)))


def open_torch_step(
    config,
    experiment: Experiment,
    batch: Batch,
    losses: dict[str, float],
    name: str,
    *,
    device: str = "cpu",
    format: str = FLOAT32,
) -> tuple[Repeat, float, float | None]:
    """A competitor that computes JAX's losses.

    Args:
        config: of configs/student.py.
        experiment: made from it; the step starts with its parameters.
        batch: on the host.
        losses: of JAX's first step.
        name: a key of `COMPETITORS`.
        device: as PyTorch names it.
        format: of products, a key of `FORMATS`.

    Returns:
        What repeats the step; the largest difference of the first one's losses, relative to JAX's;
        and on a GPU the most memory that PyTorch held, megabytes.

    Raises:
        InputError: it computes other losses.
    """
    allow_tensorfloat32(format != FLOAT32)
    step = make_torch_step(
        config, experiment, compiled=COMPETITORS[name], device=device, half=format == HALF
    )
    run = repeat_torch_step(step, batch, config.train.seed, device)
    found, megabytes = with_peak_memory(run, device)
    difference = largest_difference(found, losses)
    if not difference <= (MOST if format == FLOAT32 else MOST_ROUNDED):
        raise InputError(f"computes other losses: by {difference:.1e} of JAX's")
    return run, difference, megabytes


def largest_difference(losses: dict[str, float], expected: dict[str, float]) -> float:
    """The largest difference of two steps' losses.

    Args:
        losses: of one.
        expected: of the other.

    Returns:
        Relative to `expected`; of the losses that both have, the total and the discriminator's.
    """
    names = {*LOSSES, "total", "discriminator_loss"} & losses.keys()
    return max(abs(losses[name] / expected[name] - 1) for name in names)


def vgg_alone(
    experiment: Experiment, batch: Batch, *, dtype: DTypeLike | None = None
) -> Callable[[], object]:
    """VGG's part of a step, on one device: features of both images, and the gradient of one.

    Args:
        experiment: whose VGG it is.
        batch: on the host.
        dtype: of VGG's convolutions.

    Returns:
        What computes it, and returns when that is done.
    """
    vgg = vgg_of(experiment, dtype)

    @jax.jit
    def run(params, images, targets):
        features, pull_back = jax.vjp(functools.partial(vgg.apply, {"params": params}), images)
        return features, pull_back(vgg.apply({"params": params}, targets))

    images, targets = (jnp.asarray(batch[name], jnp.float32) / 255 for name in ("input", "target"))
    params = jax.device_put(experiment.frozen["vgg"])
    return lambda: jax.block_until_ready(run(params, images, targets))
