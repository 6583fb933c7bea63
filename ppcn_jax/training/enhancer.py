"""An enhancer's training run put together from its configuration."""

import functools
import math
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax import losses
from ppcn_jax.evaluation.evaluate import Enhance, Pairs, score_image
from ppcn_jax.models import Discriminator, Vgg
from ppcn_jax.models.layers import Params
from ppcn_jax.photos.strips import strip
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.enhancer import Networks, make_train_step
from ppcn_jax.steps.objective import LOSSES, Objective, make_objective
from ppcn_jax.steps.optimizers import adam
from ppcn_jax.steps.state import init_state
from ppcn_jax.training.experiment import (
    Experiment,
    initial_params,
    make_optimizer,
    make_schedule,
    shown,
)
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.vgg import find_vgg, load_vgg


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
    schedule = make_schedule(config, config.train.learning_rate)
    optimizers = {"generator": make_optimizer(config, schedule)}
    if objective.needs("logits"):
        optimizers["discriminator"] = adam(
            make_schedule(config, config.discriminator.learning_rate),
            epsilon_corrected=config.train.epsilon_corrected,
        )
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
        imitation=config.imitation,
        total_limit=config.train.guard.total_limit or math.inf,
    )
    params = _initial_params(networks, list(optimizers), config.train.seed, config.data.crop)
    state = jax.device_get(init_state(params, optimizers))
    return Experiment(
        make_network(config.model),
        state,
        frozen,
        step,
        schedule,
        score=score_image,
        metrics=("psnr", "ms_ssim"),
        picture=comparison,
    )


def _networks(config, objective: Objective) -> tuple[Networks, dict[str, Params]]:
    frozen: dict[str, Any] = {}
    vgg = teacher = None
    if objective.needs("features"):
        depth, frozen["vgg"] = load_vgg(config.vgg.weights)
        vgg = Vgg(depth, dtype=config.precision.vgg)
    if config.teacher:
        guides = load_teachers(config)
        teacher, frozen["teachers"] = guides[0].module, [guide.params for guide in guides]
    discriminator = Discriminator(
        config.discriminator.outputs,
        config.discriminator.first_norm,
        dtype=config.precision.discriminator,
    )
    generator = make_network(config.model).clone(dtype=config.precision.generator)
    return Networks(generator, discriminator, vgg, teacher), frozen


def check_files(config: ConfigDict) -> None:
    """Check the teacher and VGG weights that a training run names, before data is opened.

    Raises:
        InputError: a file cannot be used; the message names it and says what to change.
    """
    if any(
        term.weight and LOSSES[name][1] == "features" for name, term in config.objective.items()
    ):
        find_vgg(config.vgg.weights)
    if config.get("teacher"):
        load_teachers(config)


def load_teachers(config) -> list[Model]:
    """Read the guides of an enhancer.

    Args:
        config: of configs/teacher.py or configs/student.py.

    Returns:
        The teachers.

    Raises:
        InputError: nothing there, or it is no teacher of the configured preset; says what to change.
    """
    guides = []
    for path in filter(None, map(str.strip, config.teacher.split(","))):
        guide = load_model(path)
        if guide.name != "teacher":
            raise InputError(f"config.teacher={path} holds a {guide.name}, not a teacher")
        if guide.preset != config.preset:
            raise InputError(
                f"config.teacher={path} was trained with preset {guide.preset!r}, the "
                f"{config.model} is configured for {config.preset!r}: train the teacher with "
                f"configs/teacher.py:{config.preset}, or use configs/{config.model}.py:"
                f"{guide.preset}"
            )
        guides.append(guide)
    if not guides:
        raise InputError(f"config.teacher={config.teacher!r} names no teacher")
    return guides


def _initial_params(
    networks: Networks, players: list[str], seed: int, crop: int
) -> dict[str, Params]:
    generator_key, opponent_key = jax.random.split(jax.random.key(seed))
    params = {"generator": initial_params(generator_key, networks.generator, crop)}
    if "discriminator" in players:
        opponent = networks.discriminator
        params["discriminator"] = initial_params(opponent_key, opponent, crop, channels=1)
    return params


def comparison(enhance: Enhance, pairs: Pairs) -> np.ndarray:
    """Strip of a few test images: input, enhanced, target.

    Args:
        enhance: the network: uint8 `[H, W, 3]` -> float32 `[H, W, 3]`.
        pairs: the test split.

    Returns:
        uint8 `[height, width, 3]`.
    """
    rows, names = [], []
    for name, image, target in shown(pairs):
        rows.append([image, enhance(image), target])
        names.append(name)
    return strip(rows, ["input", "enhanced", "target"], names)
