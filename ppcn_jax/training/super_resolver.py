"""A super-resolver's training run put together from its configuration."""

import functools
import math

import jax
import numpy as np

from ppcn_jax.evaluation.evaluate import Enhance, Pairs
from ppcn_jax.evaluation.super_resolution import score_luma
from ppcn_jax.photos.strips import closeup, most_detailed, strip
from ppcn_jax.steps.objective import make_objective
from ppcn_jax.steps.state import init_state
from ppcn_jax.steps.super_resolver import make_train_step
from ppcn_jax.training.experiment import (
    Experiment,
    initial_params,
    make_optimizer,
    make_schedule,
    shown,
)
from ppcn_jax.weights.model import make_network

# Side of the closeups, as a part of the photo's smaller side.
CLOSEUP = 5


def make_experiment(config) -> Experiment:
    """Build network, objective, optimizer and the initial state.

    Args:
        config: of configs/super_resolution.py, checked.

    Returns:
        The experiment.
    """
    module = make_network(config.model, config.model_settings.to_dict())
    schedule = make_schedule(config, config.train.learning_rate)
    optimizer = make_optimizer(config, schedule)
    step = make_train_step(
        module,
        make_objective(config.objective.to_dict()),
        optimizer,
        clip=config.train.clip,
        seed=config.train.seed,
        total_limit=config.train.guard.total_limit or math.inf,
    )
    params = initial_params(jax.random.key(config.train.seed), module, config.data.crop)
    state = jax.device_get(init_state({"generator": params}, {"generator": optimizer}))
    return Experiment(
        module,
        state,
        frozen={},
        step=step,
        learning_rate=schedule,
        score=functools.partial(score_luma, border=config.data.scale),
        metrics=("psnr_y", "ssim_y"),
        picture=comparison,
    )


def comparison(enlarge: Enhance, pairs: Pairs) -> np.ndarray:
    """Strip of a few test photos, each with a closeup of where it has most detail.

    Args:
        enlarge: the network: uint8 `[H, W, 3]` -> float32 `[H, W, 3]`.
        pairs: (bicubic enlargement, photo).

    Returns:
        uint8 `[height, width, 3]`.
    """
    rows, captions = [], []
    for name, bicubic, target in shown(pairs):
        images = [bicubic, enlarge(bicubic), target]
        side = min(target.shape[:2]) // CLOSEUP
        corner = most_detailed(target, side)
        rows += [images, [closeup(image, corner, side, CLOSEUP) for image in images]]
        captions += [name, ""]
    return strip(rows, ["bicubic", "ours", "target"], captions)
