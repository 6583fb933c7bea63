"""An enhancer's training run put together from its configuration."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from ppcn_jax import losses
from ppcn_jax.errors import InputError
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.networks import make_network
from ppcn_jax.objective import Objective, make_objective
from ppcn_jax.schedules import adam, step_decay
from ppcn_jax.state import Params, TrainState, init_state
from ppcn_jax.steps import Networks, TrainStep, make_train_step
from ppcn_jax.vgg_weights import load_vgg
from ppcn_jax.weights import load_model


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What the training loop needs to know about what it trains.

    Attributes:
        module: the network that is evaluated, player "generator" of the state.
        state: at step 0, on the host.
        frozen: parameters that the step reads and nobody trains.
        step: the pure train step.
        learning_rate: the generator's, by step.
    """

    module: nn.Module
    state: TrainState
    frozen: Params
    step: TrainStep
    learning_rate: optax.Schedule


def make_experiment(config) -> Experiment:
    """Build networks, objective, optimizers and the initial state.

    Args:
        config: of configs/teacher.py or configs/student.py, checked.

    Returns:
        The experiment.

    Raises:
        InputError: VGG weights or a teacher that are not there or do not fit.
    """
    objective = make_objective(config.objective.to_dict())
    schedules = {"generator": _schedule(config, config.train.learning_rate)}
    if objective.needs("logits"):
        rate = config.discriminator.learning_rate
        schedules["discriminator"] = _schedule(config, rate)
    optimizers = {
        name: adam(schedule, epsilon_corrected=config.train.epsilon_corrected)
        for name, schedule in schedules.items()
    }
    networks, frozen = _networks(config, objective)
    step = make_train_step(
        networks,
        objective,
        optimizers,
        discriminator_loss=functools.partial(
            losses.discrimination,
            real_label=config.discriminator.real_label,
            clip=config.discriminator.clip,
        ),
        seed=config.train.seed,
    )
    params = _initial_params(networks, list(optimizers), config.train.seed, config.data.crop)
    state = jax.device_get(init_state(params, optimizers))
    return Experiment(networks.generator, state, frozen, step, schedules["generator"])


def _schedule(config, learning_rate: float) -> optax.Schedule:
    return step_decay(learning_rate, boundaries=config.train.boundaries, factor=config.train.decay)


def _networks(config, objective: Objective) -> tuple[Networks, dict[str, Params]]:
    frozen: dict[str, Any] = {}
    vgg = teacher = None
    if objective.needs("features"):
        depth, frozen["vgg"] = load_vgg(config.vgg.weights)
        vgg = Vgg(depth)
    if objective.needs("taps"):
        guide = load_model(config.teacher)
        check_teacher(guide.name, guide.preset, config)
        teacher, frozen["teacher"] = guide.module, guide.params
    discriminator = Discriminator(config.discriminator.outputs, config.discriminator.first_norm)
    return Networks(make_network(config.model), discriminator, vgg, teacher), frozen


def check_teacher(name: str, preset: str, config) -> None:
    """Refuse a guide that is not a teacher of the student's preset.

    Raises:
        InputError: says what it is and what to change.
    """
    if name != "teacher":
        raise InputError(f"config.teacher={config.teacher} holds a {name}, not a teacher")
    if preset != config.preset:
        raise InputError(
            f"config.teacher={config.teacher} was trained with preset {preset!r}, the student is "
            f"configured for {config.preset!r}: train the teacher with "
            f"configs/teacher.py:{config.preset}, or use configs/student.py:{preset}"
        )


def _initial_params(
    networks: Networks, players: list[str], seed: int, crop: int
) -> dict[str, Params]:
    samples: dict[str, tuple[nn.Module, int]] = {
        "generator": (networks.generator, 3),
        "discriminator": (networks.discriminator, 1),
    }
    keys = dict(zip(samples, jax.random.split(jax.random.key(seed), len(samples)), strict=True))
    return {name: _init(keys[name], *samples[name], crop) for name in players}


def _init(key: jax.Array, module: nn.Module, channels: int, crop: int) -> Params:
    init: Callable[..., Any] = jax.jit(module.init)
    return init(key, jnp.zeros((1, crop, crop, channels)))["params"]
