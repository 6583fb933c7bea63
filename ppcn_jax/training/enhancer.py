"""Builds an enhancer's training run from its configuration."""

import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax import losses
from ppcn_jax.configuration.networks import check_networks
from ppcn_jax.evaluation.evaluate import score_image
from ppcn_jax.models import Discriminator, PatchDiscriminator, Vgg
from ppcn_jax.models.int8 import Ranges, in_int8
from ppcn_jax.photos.strips import reduce_panel
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.enhancer import Networks, make_train_step
from ppcn_jax.steps.objective import LOSSES, make_objective
from ppcn_jax.steps.optimizers import adam, step_decay
from ppcn_jax.steps.state import init_state
from ppcn_jax.training.evaluations import held_out_photos
from ppcn_jax.training.experiment import (
    SHOWN,
    Experiment,
    averaged,
    initial_params,
    make_optimizer,
)
from ppcn_jax.training.start_from import check_start
from ppcn_jax.training.wandb_run import check_wandb
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.vgg import find_vgg, load_vgg

COLUMNS = ("input", "enhanced", "target")


def make_experiment(config: ConfigDict, ranges: Mapping[str, Ranges] | None = None) -> Experiment:
    """Build networks, objective, optimizers and the initial state.

    Args:
        config: a checked configuration of configs/teacher.py or configs/student.py.
        ranges: with `train.quantize`, those of `run_ranges`.

    Raises:
        InputError: the VGG weights or a teacher are missing or do not fit.
    """
    train, player = config.train, config.discriminator
    objective = make_objective(config.objective.to_dict())

    frozen: dict[str, Any] = {}
    vgg = teacher = None
    if objective.needs("features"):
        depth, frozen["vgg"] = load_vgg(config.vgg.weights)
        vgg = Vgg(depth, precision=config.precision.vgg)
    if config.teacher:
        teachers = load_teachers(config.teacher, model=config.model, preset=config.preset)
        teacher, frozen["teachers"] = teachers[0].module, [each.params for each in teachers]
    # Evaluated in float32, whatever it is trained in.
    module = in_int8(make_network(config.model, config.model_settings.to_dict()), ranges)
    generator = module.clone(precision=config.precision.generator)
    precision = config.precision.discriminator
    discriminator = (
        PatchDiscriminator(precision)
        if player.network == "patch"
        else Discriminator(player.outputs, player.first_norm, precision)
    )

    schedule = functools.partial(step_decay, boundaries=train.boundaries, factor=train.decay)
    learning_rate = schedule(train.learning_rate)
    generator_key, discriminator_key = jax.random.split(jax.random.key(train.seed))
    params = {"generator": initial_params(generator_key, generator, config.data.crop)}
    optimizers = {
        "generator": make_optimizer(
            train.optimizer,
            learning_rate,
            weight_decay=train.weight_decay,
            epsilon_corrected=train.epsilon_corrected,
        )
    }
    if objective.needs("logits"):
        params["discriminator"] = initial_params(
            discriminator_key, discriminator, config.data.crop, channels=1
        )
        optimizers["discriminator"] = adam(
            schedule(player.learning_rate), epsilon_corrected=train.epsilon_corrected
        )

    form = config.objective.texture.form
    step = make_train_step(
        Networks(generator, discriminator, vgg, teacher),
        objective,
        optimizers,
        discriminator_loss=functools.partial(
            losses.discrimination,
            form=form if form in ("hinge", "least_squares") else "cross_entropy",
            real_label=player.real_label,
            clip=player.clip,
        ),
        seed=train.seed,
        imitation=config.imitation,
        total_limit=train.guard.total_limit or math.inf,
        ema=train.ema,
    )
    return Experiment(
        module,
        jax.device_get(init_state(params, optimizers, averaged=averaged(train.ema))),
        frozen,
        step,
        learning_rate,
        score=score_image,
        metrics=("psnr", "ms_ssim"),
        panels=panels,
        columns=COLUMNS,
    )


def check_files(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Check the files that a training run names beside its data, before data is opened.

    These are the weights of VGG, those of the teachers, which must be those of the run in
    `workdir`, and those of the network to start from, which is not read again when that run
    resumes from a checkpoint; and the photos to evaluate. The package of `log.wandb` is one too.

    Raises:
        InputError: a file cannot be used; the message names it and says what to change.
    """
    if any(
        term.weight and LOSSES[name][1] == "features" for name, term in config.objective.items()
    ):
        find_vgg(config.vgg.weights)
    if config.get("teacher"):
        teachers = load_teachers(config.teacher, model=config.model, preset=config.preset)
        frozen = {"teachers": [each.params for each in teachers]}
        check_networks(workdir, frozen, complete=False)
    check_wandb(config.log.wandb)
    check_start(config, workdir)
    held_out_photos(config.evaluate.photos)


def load_teachers(paths: str, *, model: str, preset: str) -> list[Model]:
    """Load the teachers of an enhancer from comma-separated paths.

    Raises:
        InputError: a path holds no teacher of the same preset; says what to change.
    """
    teachers = []
    for path in filter(None, map(str.strip, paths.split(","))):
        teacher = load_model(path)
        if teacher.name != "teacher":
            raise InputError(f"config.teacher={path} holds a {teacher.name}, not a teacher")
        if teacher.preset != preset:
            raise InputError(
                f"config.teacher={path} was trained with preset {teacher.preset!r}, but the "
                f"{model} is configured for {preset!r}: train the teacher with "
                f"configs/teacher.py:{preset}, or use configs/{model}.py:{teacher.preset}"
            )
        teachers.append(teacher)
    if not teachers:
        raise InputError(f"config.teacher={paths!r} names no teacher")
    return teachers


def panels(image: np.ndarray, output: np.ndarray, target: np.ndarray) -> list[list[np.ndarray]]:
    """The row of a test image in the picture of an evaluation."""
    return [[reduce_panel(x, SHOWN, len(COLUMNS)) for x in (image, output, target)]]
