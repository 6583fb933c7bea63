"""The least time that a task can take on this machine: its work over the machine's peaks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.benchmark.peaks import Peaks
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.models.definitions import Params
from ppcn_jax.training.experiment import Experiment
from ppcn_jax.weights.model import make_network


class Work(NamedTuple):
    """What a task needs at least."""

    operations: int  # floating-point; a multiplication with its addition counts as two
    bytes: int  # read and written: inputs, results and parameters, once each


def least_seconds(work: Work, peaks: Peaks) -> float:
    """The longer of computing and moving data, which can overlap."""
    return max(work.operations / peaks.flops, work.bytes / peaks.bandwidth)


def layer_results(module: nn.Module, params: Params, images: Any) -> dict[str, Any]:
    """Shapes of the results of a network's convolutions and dense layers, by name.

    Parameters and images are arrays or shapes.
    """

    def results(params: Params, images: jax.Array) -> Params:
        _, state = module.apply(
            {"params": params}, images, capture_intermediates=True, mutable=["intermediates"]
        )
        return state["intermediates"]

    shapes = jax.eval_shape(results, params, images)
    return {
        name: shapes[name]["__call__"][0]
        for name, layer in params.items()
        if isinstance(layer, dict) and "kernel" in layer
    }


def layer_operations(module: nn.Module, params: Params, images: Any) -> dict[str, int]:
    """Floating-point operations of a network's convolutions and dense layers, forward, by name.

    They follow from the sizes of kernels and results, so they do not depend on how a layer is
    computed. Norms and activations are not counted.
    """
    operations = {}
    for name, result in layer_results(module, params, images).items():
        kernel = params[name]["kernel"]
        operations[name] = 2 * result.size * kernel.size // kernel.shape[-1]
    return operations


def network_work(module: nn.Module, params: Params, image: Any) -> Work:
    """Work of a network for one image `[H, W, 3]`, whose type the result has too."""
    images = jax.ShapeDtypeStruct((1, *image.shape), jnp.float32)
    operations = sum(layer_operations(module, params, images).values())
    return Work(operations, 2 * image.nbytes + _total_bytes(params))


def vgg_of(experiment: Experiment, precision: str = "float32") -> Vgg:
    """The VGG (16 or 19 layers) to which an experiment's frozen parameters belong."""
    return Vgg(19 if "conv3_4" in experiment.frozen["vgg"] else 16, precision)


def vgg_work(experiment: Experiment, batch: Mapping[str, np.ndarray]) -> Work:
    """Work of VGG in a training step: features of both images, and the gradient of one.

    The batch is that of all devices together.
    """
    params = experiment.frozen["vgg"]
    forward = sum(_batch_operations(vgg_of(experiment), params, batch).values())
    # Two images and one gradient as float32, and the parameters.
    return Work(3 * forward, 3 * 4 * batch["input"].size + _total_bytes(params))


def step_work(experiment: Experiment, batch: Mapping[str, np.ndarray]) -> Work:
    """Work of the student's training step on a batch of all devices together."""
    players, frozen = experiment.state.players, experiment.frozen
    params = players["discriminator"].params
    module = Discriminator(params["logits"]["bias"].size, first_norm="norm0" in params)
    discriminator = _batch_operations(module, params, batch, channels=1)
    student = _batch_operations(experiment.module, players["generator"].params, batch)
    teacher = _batch_operations(make_network("teacher"), frozen["teachers"][0], batch)
    # The forward pass, gradients of kernels and gradients of inputs cost the same each. A trained
    # network needs no gradient of its images, a frozen one none of its kernels.
    operations = 3 * sum(student.values()) - student["conv0"]
    operations += sum(teacher.values()) + vgg_work(experiment, batch).operations
    # 2 for the student's loss, 3 for the discriminator's.
    operations += 5 * sum(discriminator.values()) - discriminator["conv0"]
    # Adam reads and writes each parameter and its two moments.
    updates = 6 * _total_bytes([player.params for player in players.values()])
    return Work(operations, updates + _total_bytes(frozen, batch))


def _batch_operations(
    module: nn.Module, params: Params, batch: Mapping[str, np.ndarray], channels: int = 3
) -> dict[str, int]:
    shape = (*batch["input"].shape[:3], channels)
    return layer_operations(module, params, jax.ShapeDtypeStruct(shape, jnp.float32))


def _total_bytes(*trees: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(trees))
