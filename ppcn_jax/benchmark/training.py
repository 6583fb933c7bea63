"""The student's training step: JAX beside PyTorch, and how much of it is VGG."""

import functools
import pathlib
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.floors import Work, layer_operations, total_bytes
from ppcn_jax.benchmark.random_weights import random_model, write_random_vgg
from ppcn_jax.benchmark.rows import Rows, make_row, reported, timed_rows
from ppcn_jax.benchmark.torch_training import make_torch_step, repeat_torch_step
from ppcn_jax.enhancement import make_experiment
from ppcn_jax.errors import InputError
from ppcn_jax.experiment import Experiment
from ppcn_jax.export.photos import synthetic_photo
from ppcn_jax.model_files import load_model
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.models.onednn import is_usable
from ppcn_jax.native import write_native
from ppcn_jax.networks import make_network
from ppcn_jax.objective import LOSSES
from ppcn_jax.parallel import parallelize, replicate, to_host
from ppcn_jax.process_programs import ProcessProgram
from ppcn_jax.state import Params
from ppcn_jax.timing import take_turns
from ppcn_jax.vgg_weights import load_vgg

ONEDNN = "JAX, oneDNN"
# Largest difference of a loss from JAX's, relative to it.
MOST = 1e-4

Batch = dict[str, np.ndarray]
Step = Callable[[], dict[str, float]]


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


def make_jax_step(experiment: Experiment, batch: Batch, *, onednn: bool = False) -> Step:
    """The step as `train` runs it, always on one batch.

    Args:
        experiment: its first state is where the step starts.
        batch: on the host.
        onednn: as of `parallelize`.

    Returns:
        `step() -> losses`.
    """
    devices = jax.local_device_count()
    images = {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}
    mapped = parallelize(experiment.step, onednn=onednn)
    replicas, frozen = replicate(experiment.state), replicate(experiment.frozen)

    def step() -> dict[str, float]:
        nonlocal replicas
        replicas, metrics = mapped(replicas, images, frozen)
        return {name: float(value) for name, value in to_host(metrics).items()}

    return step


def measure_training(config, competitors: Sequence[str], *, rounds: int) -> Rows:
    """Time the step.

    Args:
        config: of configs/student.py, with names of files.
        competitors: "PyTorch", "PyTorch compiled"; others are passed over.
        rounds: measured of each.

    Yields:
        A row for JAX, for each competitor, for JAX by oneDNN where that is usable, for both with
        VGG and discriminator in bfloat16, and for VGG's part of a step alone. `difference` is the
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
        if name in _OPEN:
            with reported(problems, name):
                step = _torch_step(config, experiment, batch, compiled=_OPEN[name])
                differences[name] = largest_difference(step(), losses[JAX])
                if not differences[name] <= MOST:
                    raise InputError(f"computes other losses: by {differences[name]:.1e} of JAX's")
                runners[name] = step
    runners |= ours
    parts = {
        f"{name}, VGG alone": vgg_alone(experiment, batch, onednn=onednn)
        for name, onednn in ((JAX, False), (ONEDNN, True))
        if name in runners
    }
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
    half.precision.vgg = half.precision.discriminator = "bfloat16"
    steps = {}
    for ending, made in (("", experiment), (", bfloat16", make_experiment(half))):
        steps[JAX + ending] = make_jax_step(made, batch)
        if is_usable():
            steps[ONEDNN + ending] = make_jax_step(made, batch, onednn=True)
    return steps


# Competitors by whether they are compiled.
_OPEN = {"PyTorch": False, "PyTorch compiled": True}


def _torch_step(config, experiment: Experiment, batch: Batch, *, compiled: bool) -> Step:
    step = make_torch_step(config, experiment, compiled=compiled)
    run = repeat_torch_step(step, batch, config.train.seed, "cpu")
    return functools.partial(run, 1)


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
    experiment: Experiment, batch: Batch, *, onednn: bool = False, dtype: DTypeLike | None = None
) -> Callable[[], object]:
    """VGG's part of a step, on one device: features of both images, and the gradient of one.

    Args:
        experiment: whose VGG it is.
        batch: on the host.
        onednn: as of `parallelize`.
        dtype: of VGG's convolutions.

    Returns:
        What computes it, and returns when that is done.
    """
    vgg = Vgg(_depth(experiment), dtype)

    @(ProcessProgram if onednn else jax.jit)
    def run(params, images, targets):
        features, pull_back = jax.vjp(functools.partial(vgg.apply, {"params": params}), images)
        return features, pull_back(vgg.apply({"params": params}, targets))

    images, targets = (jnp.asarray(batch[name], jnp.float32) / 255 for name in ("input", "target"))
    params = jax.device_put(experiment.frozen["vgg"])
    return lambda: jax.block_until_ready(run(params, images, targets))


def vgg_work(experiment: Experiment, batch: Batch) -> Work:
    """What `vgg_alone` cannot avoid."""
    params = experiment.frozen["vgg"]
    operations = 3 * _forward(Vgg(_depth(experiment)), params, batch)
    # Two images and one gradient, in float; parameters.
    return Work(operations, 3 * 4 * batch["input"].size + total_bytes(params))


def step_work(config, experiment: Experiment, batch: Batch) -> Work:
    """What a step cannot avoid.

    Args:
        config: of configs/student.py.
        experiment: made from it.
        batch: of the step.

    Returns:
        The work of all devices together.
    """
    players, frozen = experiment.state.players, experiment.frozen
    judge = Discriminator(config.discriminator.outputs, config.discriminator.first_norm)
    student = _layers(experiment.module, players["generator"].params, batch)
    teacher = _forward(make_network("teacher"), frozen["teachers"][0], batch)
    opponent = _layers(judge, players["discriminator"].params, batch, channels=1)
    features = vgg_work(experiment, batch).operations  # two images forward, one gradient of images
    # Forward, gradients of kernels and gradients of inputs cost the same each. A trained network
    # needs no gradient of its images; a frozen one none of kernels.
    operations = 3 * sum(student.values()) - student["conv0"] + teacher
    operations += features
    operations += 5 * sum(opponent.values()) - opponent["conv0"]  # 2 judging, 3 learning
    # Adam reads and writes parameters and two moments of each.
    states = 6 * total_bytes([player.params for player in players.values()])
    return Work(operations, states + total_bytes(frozen, batch))


def _layers(module: nn.Module, params: Params, batch: Batch, channels: int = 3) -> dict[str, int]:
    shape = (*batch["input"].shape[:3], channels)
    return layer_operations(module, params, jax.ShapeDtypeStruct(shape, jnp.float32))


def _forward(module: nn.Module, params: Params, batch: Batch) -> int:
    return sum(_layers(module, params, batch).values())


def _depth(experiment: Experiment) -> int:
    return 19 if "conv3_4" in experiment.frozen["vgg"] else 16
