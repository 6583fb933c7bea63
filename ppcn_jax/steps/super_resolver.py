"""The pure train step of a super-resolver: one network that learns from targets only."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from ppcn_jax.metrics import psnr_of_mse
from ppcn_jax.models.layers import Params
from ppcn_jax.steps.augment import Batch, image_keys, prepare
from ppcn_jax.steps.objective import Objective
from ppcn_jax.steps.state import Metrics, TrainState, TrainStep, guarded_update, mean_over_devices


def make_train_step(
    network: nn.Module,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    clip: bool,
    seed: int,
    total_limit: float = math.inf,
    ema: float = 0.0,
) -> TrainStep:
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
        `step(state, batch, frozen, *, axis_name=None) -> (state, metrics)`, pure. `batch` is
        `{"input", "target"}`, uint8 `[N, S, S, 3]`; `frozen` is not used; `axis_name` is the
        mapped axis, None under plain jit. Metrics are float32 scalars of the global batch: the
        objective's terms, "total", "psnr", and those of `guarded_update`.
    """

    def train_step(
        state: TrainState, batch: Batch, frozen: Any, *, axis_name: str | None = None
    ) -> tuple[TrainState, Metrics]:
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
        gradients, metrics = mean_over_devices((gradients, metrics), axis_name)
        state, metrics = guarded_update(
            state,
            {"generator": gradients},
            {"generator": optimizer},
            metrics,
            total_limit=total_limit,
            ema=ema,
        )
        # After averaging: the PSNR of a mean error is not the mean of PSNRs.
        metrics["psnr"] = psnr_of_mse(metrics.pop("mse"))
        return state, metrics

    return train_step
