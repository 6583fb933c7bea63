"""The pure train step of the enhancer: two players, one update each, one all-reduce."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from ppcn_jax.losses import real_logit
from ppcn_jax.metrics import psnr_of_mse
from ppcn_jax.models import grayscale
from ppcn_jax.steps.augment import image_keys, prepare
from ppcn_jax.steps.objective import Objective
from ppcn_jax.steps.state import TrainStep, guarded_update, mean_over_devices


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules of an enhancer's training run.

    Attributes:
        generator: the enhancer being trained.
        discriminator: its opponent; used when the objective has a texture term.
        vgg: feature extractor; used when a term compares features.
        teacher: guide of another enhancer; used when a term compares attention taps, or when its
            images are imitated.
    """

    generator: nn.Module
    discriminator: nn.Module
    vgg: nn.Module | None = None
    teacher: nn.Module | None = None


def make_train_step(
    networks: Networks,
    objective: Objective,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    discriminator_loss: Callable[[jax.Array, jax.Array], jax.Array],
    seed: int,
    imitation: float = 0.0,
    total_limit: float = math.inf,
) -> TrainStep:
    """Build the enhancer's train step.

    Both players are updated from the state before the step: the discriminator judges the very
    images that the generator was graded on, and one all-reduce serves both gradients.

    Args:
        networks: modules.
        objective: the generator's.
        optimizers: "generator" and, with a texture term, "discriminator".
        discriminator_loss: `(logits, is_real) -> [N]`.
        seed: with the state's step it fixes augmentation and the discriminator's coin flips.
        imitation: share of the teachers' images in what losses of images compare with; the rest
            is the target.
        total_limit: updates of a batch with a larger total are left out, as those that are not
            finite are; see `update`.

    Returns:
        `step(state, batch, frozen, *, axis_name=None) -> (state, metrics)`, pure. `batch` is
        `{"input", "target"}`, uint8 `[N, S, S, 3]`; `frozen` holds the parameters of "vgg" and, as
        a list, of one or several "teachers", as far as they are used; several guide by the mean of
        their images and maps. `axis_name` is the mapped axis, None under plain jit.
        Metrics are float32 scalars of the global batch: the objective's terms, "total", "psnr",
        and "discriminator_loss" and "discriminator_accuracy"; and what `guarded_update` adds.
    """
    adversarial = objective.needs("logits")

    def train_step(state, batch, frozen, *, axis_name=None):
        generator, opponent = state.players["generator"], state.players.get("discriminator")
        keys = image_keys(seed, state.step, batch["input"].shape[0], axis_name)
        inputs, targets = prepare(keys, batch)
        reference = _reference(networks, objective, imitation, frozen, inputs, targets)

        def generator_loss(params):
            prediction = _predict(networks, objective, params, opponent, frozen, inputs)
            total, terms = objective(prediction, reference, axis_name=axis_name)
            return total, (terms, prediction["images"])

        def opponent_loss(params, enhanced):
            is_real = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, 1)))(keys)
            shown = jnp.where(is_real[:, None, None, None], targets, enhanced)
            logits = networks.discriminator.apply({"params": params}, grayscale(shown))
            correct = (real_logit(logits) > 0) == is_real
            return jnp.mean(discriminator_loss(logits, is_real)), jnp.mean(correct)

        gradient = jax.value_and_grad(generator_loss, has_aux=True)
        (total, (terms, enhanced)), gradients = gradient(generator.params)
        gradients = {"generator": gradients}
        metrics = {**terms, "total": total, "mse": jnp.mean(jnp.square(enhanced - targets))}
        if adversarial:
            gradient = jax.value_and_grad(opponent_loss, has_aux=True)
            (loss, accuracy), gradients["discriminator"] = gradient(opponent.params, enhanced)
            metrics |= {"discriminator_loss": loss, "discriminator_accuracy": accuracy}

        gradients, metrics = mean_over_devices((gradients, metrics), axis_name)
        state, metrics = guarded_update(
            state, gradients, optimizers, metrics, total_limit=total_limit
        )
        # After the mean over devices: the PSNR of a mean is not the mean of PSNRs.
        metrics["psnr"] = psnr_of_mse(metrics.pop("mse"))
        return state, metrics

    return train_step


def _reference(networks, objective, imitation, frozen, inputs, targets) -> dict[str, Any]:
    reference = {"images": targets}
    if objective.needs("features"):
        reference["features"] = networks.vgg.apply({"params": frozen["vgg"]}, targets)
    if imitation or objective.needs("taps"):
        guides = [
            networks.teacher.apply({"params": params}, inputs, taps=True)
            for params in frozen["teachers"]
        ]
        images, reference["taps"] = jax.tree.map(lambda *each: sum(each) / len(each), *guides)
        if imitation:
            reference["images"] = (1 - imitation) * targets + imitation * images
    return reference


def _predict(networks, objective, params, opponent, frozen, inputs) -> dict[str, Any]:
    images, taps = networks.generator.apply({"params": params}, inputs, taps=True)
    prediction = {"images": images, "taps": taps}
    if objective.needs("features"):
        prediction["features"] = networks.vgg.apply({"params": frozen["vgg"]}, images)
    if objective.needs("logits"):
        judge = {"params": opponent.params}
        prediction["logits"] = networks.discriminator.apply(judge, grayscale(images))
    return prediction
