"""The pure train step of one network that learns from targets alone: no opponent, no guide."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from ppcn_jax.metrics import psnr_of_mse
from ppcn_jax.steps.augment import image_keys, prepare
from ppcn_jax.steps.objective import Objective
from ppcn_jax.steps.state import TrainStep, guarded_update, mean_over_devices


def make_train_step(
    network: nn.Module,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    clip: bool,
    seed: int,
    total_limit: float = math.inf,
) -> TrainStep:
    """Build the train step of a network of one image.

    Args:
        network: the module, player "generator" of the state.
        objective: of terms that compare images.
        optimizer: the network's.
        clip: clip the output to [0, 1] before it is compared; pixels beyond then have no gradient.
        seed: with the state's step it fixes the augmentation.
        total_limit: updates of a batch with a larger total are left out, as those that are not
            finite are; see `update`.

    Returns:
        `step(state, batch, frozen, *, axis_name=None) -> (state, metrics)`, pure. `batch` is
        `{"input", "target"}`, uint8 `[N, S, S, 3]`; `frozen` is not used; `axis_name` is the
        mapped axis, None under plain jit. Metrics are float32 scalars of the global batch: the
        objective's terms, "total" and "psnr", and what `guarded_update` adds.
    """

    def train_step(state, batch, frozen, *, axis_name=None):
        player = state.players["generator"]
        keys = image_keys(seed, state.step, batch["input"].shape[0], axis_name)
        inputs, targets = prepare(keys, batch)

        def loss(params):
            images = network.apply({"params": params}, inputs)
            images = jnp.clip(images, 0, 1) if clip else images
            total, terms = objective({"images": images}, {"images": targets}, axis_name=axis_name)
            return total, (terms, jnp.mean(jnp.square(images - targets)))

        gradient = jax.value_and_grad(loss, has_aux=True)
        (total, (terms, mse)), gradients = gradient(player.params)
        metrics = {**terms, "total": total, "mse": mse}
        gradients, metrics = mean_over_devices((gradients, metrics), axis_name)
        every, optimizers = {"generator": gradients}, {"generator": optimizer}
        state, metrics = guarded_update(state, every, optimizers, metrics, total_limit=total_limit)
        # After the mean over devices: the PSNR of a mean is not the mean of PSNRs.
        metrics["psnr"] = psnr_of_mse(metrics.pop("mse"))
        return state, metrics

    return train_step
