"""The pure train step of a super-resolver: one network that learns from targets only."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from ppcn_jax.models.definitions import Params
from ppcn_jax.steps.augment import Batch, image_keys, prepare
from ppcn_jax.steps.guarded_step import GuardedStep
from ppcn_jax.steps.objective import Objective
from ppcn_jax.steps.state import Metrics, TrainState


def make_train_step(
    network: nn.Module,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    clip: bool,
    seed: int,
    total_limit: float = math.inf,
    ema: float = 0.0,
) -> GuardedStep:
    """Build the train step of a network that maps images to images.

    Args:
        network: the module; its parameters are player "generator" of the state.
        objective: terms that compare images.
        optimizer: the network's optimizer.
        clip: clip the output to [0, 1] before comparing; clipped pixels then have no gradient.
        seed: determines the augmentation together with the state's step.
        total_limit: updates with a larger total are skipped; see `guarded_update`.
        ema: decay of the average of the generator's parameters, if the state has one.

    Returns:
        The step. Its `batch` is `{"input", "target"}`, uint8 `[N, S, S, 3]`; `frozen` is not used.
        Metrics are the objective's terms, "total", "psnr", and those of `guarded_update`.
    """

    def gradients_of(
        state: TrainState, batch: Batch, frozen: Any, *, axis_name: str | None = None
    ) -> tuple[dict[str, Params], Metrics]:
        keys = image_keys(seed, state.step, batch["input"].shape[0], axis_name)
        inputs, targets = prepare(keys, batch)

        def loss(params: Params) -> tuple[jax.Array, Metrics]:
            images: Any = network.apply({"params": params}, inputs)
            images = jnp.clip(images, 0, 1) if clip else images
            total, terms = objective({"images": images}, {"images": targets}, axis_name=axis_name)
            mse = jnp.mean(jnp.square(images - targets))
            return total, {**terms, "total": total, "mse": mse}

        params = state.players["generator"].params
        gradients, metrics = jax.grad(loss, has_aux=True)(params)
        return {"generator": gradients}, metrics

    return GuardedStep(gradients_of, {"generator": optimizer}, total_limit, ema)
