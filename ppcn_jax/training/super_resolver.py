"""Builds a super-resolver's training run from its configuration."""

import functools
import math
from collections.abc import Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.evaluation.super_resolution import score_luma
from ppcn_jax.models.int8 import Ranges, in_int8
from ppcn_jax.photos.strips import closeup, most_detailed, panel_size, reduce_panel
from ppcn_jax.steps.objective import make_objective
from ppcn_jax.steps.optimizers import step_decay
from ppcn_jax.steps.state import init_state
from ppcn_jax.steps.super_resolver import make_train_step
from ppcn_jax.training.experiment import (
    SHOWN,
    Experiment,
    averaged,
    initial_params,
    make_optimizer,
)
from ppcn_jax.weights.model import make_network

# A closeup shows a square of the photo's smaller side, or of the height of a panel in the picture,
# divided by this, enlarged by the same factor.
CLOSEUP = 5
COLUMNS = ("bicubic", "ours", "target")


def make_experiment(config: ConfigDict, ranges: Mapping[str, Ranges] | None = None) -> Experiment:
    """Build network, objective, optimizer and the initial state.

    Args:
        config: a checked configuration of configs/super_resolution.py.
        ranges: with `train.quantize`, those of `run_ranges`.
    """
    train = config.train
    # Evaluated in float32, whatever it is trained in.
    module = in_int8(make_network(config.model, config.model_settings.to_dict()), ranges)
    learning_rate = step_decay(train.learning_rate, boundaries=train.boundaries, factor=train.decay)
    optimizer = make_optimizer(
        train.optimizer,
        learning_rate,
        weight_decay=train.weight_decay,
        epsilon_corrected=train.epsilon_corrected,
    )
    step = make_train_step(
        module.clone(precision=config.precision.generator),
        make_objective(config.objective.to_dict()),
        optimizer,
        clip=train.clip,
        seed=train.seed,
        total_limit=train.guard.total_limit or math.inf,
        ema=train.ema,
    )
    params = {"generator": initial_params(jax.random.key(train.seed), module, config.data.crop)}
    optimizers = {"generator": optimizer}
    return Experiment(
        module,
        jax.device_get(init_state(params, optimizers, averaged=averaged(train.ema))),
        frozen={},
        step=step,
        learning_rate=learning_rate,
        score=functools.partial(score_luma, border=config.data.scale),
        metrics=("psnr_y", "ssim_y"),
        panels=panels,
        columns=COLUMNS,
    )


def panels(bicubic: np.ndarray, output: np.ndarray, target: np.ndarray) -> list[list[np.ndarray]]:
    """The rows of a test photo in the picture of an evaluation.

    Below the photo is a closeup of where it has the most detail.
    """
    images, size = (bicubic, output, target), (2 * SHOWN, len(COLUMNS))
    side = min(*target.shape[:2], *panel_size(*size)) // CLOSEUP
    corner = most_detailed(target, side)
    return [
        [reduce_panel(image, *size) for image in images],
        [closeup(image, corner, side, CLOSEUP) for image in images],
    ]
