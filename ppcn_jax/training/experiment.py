"""What the training loop needs to know of a network and how it is trained."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ppcn_jax.evaluation.evaluate import ScoreImage
from ppcn_jax.models.definitions import Params
from ppcn_jax.steps.guarded_step import GuardedStep
from ppcn_jax.steps.optimizers import adam, muon
from ppcn_jax.steps.state import TrainState

SHOWN = 3  # test images in a picture


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A training run as built from its configuration.

    Attributes:
        module: the network to evaluate, player "generator" of the state.
        state: the state at step 0, on the host.
        frozen: parameters that the step reads and does not train.
        step: the pure train step.
        learning_rate: the generator's learning rate by step.
        score: `(name, output, target)` -> the scores of one test image.
        metrics: names of the scores to record; the checkpoint with the highest mean of the first
            is the best one.
        panels: `(input, output, target)` -> rows of images that show one of `SHOWN` test images in
            the picture of an evaluation; see `strip` and `reduce_panel`.
        columns: headings of the images in a row.
    """

    module: nn.Module
    state: TrainState
    frozen: Params
    step: GuardedStep
    learning_rate: optax.Schedule
    score: ScoreImage
    metrics: tuple[str, ...]
    panels: Callable[[np.ndarray, np.ndarray, np.ndarray], list[list[np.ndarray]]]
    columns: tuple[str, ...]


def make_optimizer(
    name: str, schedule: optax.Schedule, *, weight_decay: float, epsilon_corrected: bool
) -> optax.GradientTransformation:
    """The optimizer "muon", which uses `weight_decay`, or "adam", which uses the other setting."""
    if name == "muon":
        return muon(schedule, weight_decay=weight_decay)
    return adam(schedule, epsilon_corrected=epsilon_corrected)


def averaged(ema: float) -> tuple[str, ...]:
    """The players whose parameters are averaged with a decay of `ema`: none if it is 0."""
    return ("generator",) if ema else ()


def initial_params(key: jax.Array, module: nn.Module, side: int, channels: int = 3) -> Params:
    """Random initial parameters of a network for square images."""
    # LLVM takes long to optimize random number generation, which runs only once here. The bits are
    # the same.
    options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    init: Callable[..., Any] = jax.jit(module.init, compiler_options=options)
    return init(key, jnp.zeros((1, side, side, channels)))["params"]
