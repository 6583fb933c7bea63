"""What a training run is made of, as far as the loop needs to know."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ppcn_jax.evaluation.evaluate import Enhance, Pairs, ScoreImage
from ppcn_jax.models.layers import Params
from ppcn_jax.steps.optimizers import adam, muon, step_decay
from ppcn_jax.steps.state import TrainState, TrainStep

PICTURES = 3


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A training run put together from its configuration.

    Attributes:
        module: the network that is evaluated, player "generator" of the state.
        state: at step 0, on the host.
        frozen: parameters that the step reads and nobody trains.
        step: the pure train step.
        learning_rate: the generator's, by step.
        score: `(name, output, target)` -> the scores of one test image.
        metrics: which of these scores are recorded; the mean of the first, higher is better,
            decides which checkpoint is the best.
        picture: `(network, test split)` -> what people look at after an evaluation, uint8
            `[H, W, 3]`.
    """

    module: nn.Module
    state: TrainState
    frozen: Params
    step: TrainStep
    learning_rate: optax.Schedule
    score: ScoreImage
    metrics: tuple[str, ...]
    picture: Callable[[Enhance, Pairs], np.ndarray]


def make_schedule(config, learning_rate: float) -> optax.Schedule:
    """A learning rate with the decay of a training configuration.

    Args:
        config: the configuration.
        learning_rate: at the first step.

    Returns:
        Learning rate by step.
    """
    return step_decay(learning_rate, boundaries=config.train.boundaries, factor=config.train.decay)


def make_optimizer(config, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer of the network that a training configuration is about.

    Args:
        config: the configuration.
        schedule: learning rate by step.

    Returns:
        An optax transformation.
    """
    if config.train.optimizer == "muon":
        return muon(schedule, weight_decay=config.train.weight_decay)
    return adam(schedule, epsilon_corrected=config.train.epsilon_corrected)


def initial_params(key: jax.Array, module: nn.Module, side: int, channels: int = 3) -> Params:
    """The parameters with which a network starts.

    Args:
        key: random key.
        module: of images.
        side: of the training images, px.
        channels: of the images.

    Returns:
        Its parameters.
    """
    # Random draws take LLVM long to optimize, and this runs once. The bits are the same.
    quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    init: Callable[..., Any] = jax.jit(module.init, compiler_options=quick)
    return init(key, jnp.zeros((1, side, side, channels)))["params"]


def shown(pairs: Pairs) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """A few test pairs for a picture, evenly spaced.

    Args:
        pairs: the test split.

    Returns:
        An iterator over (name, input, target), `PICTURES` of them or as many as there are.
    """
    for index in np.unique(np.linspace(0, len(pairs) - 1, PICTURES).round().astype(int)):
        image, target = pairs[int(index)]
        yield pairs.names[int(index)], image, target
