"""What the student's training step cannot avoid, and VGG's part of it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ppcn_jax.benchmark.floors import Work, layer_operations, total_bytes
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.models.layers import Params
from ppcn_jax.training.experiment import Experiment
from ppcn_jax.weights.model import make_network

Batch = dict[str, np.ndarray]


def vgg_of(experiment: Experiment, dtype: DTypeLike | None = None) -> Vgg:
    """The VGG whose parameters an experiment has.

    Args:
        experiment: with frozen parameters of VGG-16 or VGG-19.
        dtype: of its convolutions.

    Returns:
        The module.
    """
    return Vgg(19 if "conv3_4" in experiment.frozen["vgg"] else 16, dtype)


def vgg_work(experiment: Experiment, batch: Batch) -> Work:
    """What `vgg_alone` cannot avoid.

    Args:
        experiment: whose VGG it is.
        batch: of the step.

    Returns:
        The work of all devices together.
    """
    params = experiment.frozen["vgg"]
    operations = 3 * _forward(vgg_of(experiment), params, batch)
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
