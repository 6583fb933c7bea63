"""The pure train step of an enhancer: generator and discriminator, updated with one all-reduce."""

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
from ppcn_jax.models.layers import Params
from ppcn_jax.steps.augment import Batch, image_keys, prepare
from ppcn_jax.steps.objective import Objective
from ppcn_jax.steps.state import Metrics, TrainState, TrainStep, guarded_update, mean_over_devices


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules of an enhancer's training run.

    Attributes:
        generator: the enhancer being trained.
        discriminator: used if the objective has a texture term.
        vgg: feature extractor, used if a term compares features.
        teacher: used if a term compares attention maps, or if the teachers' images are imitated.
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
    ema: float = 0.0,
) -> TrainStep:
    """Build the train step of an enhancer.

    Generator and discriminator are both updated from the state before the step: the discriminator
    sees the images on which the generator's loss was computed, and one all-reduce averages both
    gradients.

    Args:
        networks: the modules.
        objective: the generator's objective.
        optimizers: "generator" and, with a texture term, "discriminator".
        discriminator_loss: `(logits, is_real) -> [N]`.
        seed: determines, together with the state's step, the augmentation and which images the
            discriminator sees as real.
        imitation: weight of the teachers' images in the reference of image losses; the target has
            the remaining weight.
        total_limit: updates with a larger total are skipped; see `guarded_update`.
        ema: decay of the average of the generator's parameters, if the state has one.

    Returns:
        `step(state, batch, frozen, *, axis_name=None) -> (state, metrics)`, pure. `batch` is
        `{"input", "target"}`, uint8 `[N, S, S, 3]`. `frozen` has the parameters of "vgg" and a
        list of those of the "teachers", if they are used; with several teachers their images and
        attention maps are averaged. `axis_name` is the mapped axis, None under plain jit.
        Metrics are float32 scalars of the global batch: the objective's terms, "total", "psnr",
        with a texture term "discriminator_loss" and "discriminator_accuracy", and those of
        `guarded_update`.
    """

    def predict(params: Params, inputs: jax.Array) -> dict[str, Any]:
        # A network without attention maps can be trained by the other losses.
        if not objective.needs("taps"):
            return {"images": networks.generator.apply({"params": params}, inputs)}
        images, taps = networks.generator.apply({"params": params}, inputs, taps=True)
        return {"images": images, "taps": taps}

    def features(images: jax.Array, frozen: Params) -> Any:
        assert networks.vgg is not None
        return networks.vgg.apply({"params": frozen["vgg"]}, images)

    def logits(images: jax.Array, params: Params) -> Any:
        return networks.discriminator.apply({"params": params}, grayscale(images))

    def make_reference(inputs: jax.Array, targets: jax.Array, frozen: Params) -> dict[str, Any]:
        reference: dict[str, Any] = {"images": targets}
        if objective.needs("features"):
            reference["features"] = features(targets, frozen)
        if imitation or objective.needs("taps"):
            assert networks.teacher is not None
            outputs = [
                networks.teacher.apply({"params": params}, inputs, taps=True)
                for params in frozen["teachers"]
            ]
            images, reference["taps"] = jax.tree.map(lambda *each: sum(each) / len(each), *outputs)
            if imitation:
                reference["images"] = (1 - imitation) * targets + imitation * images
        return reference

    def train_step(
        state: TrainState, batch: Batch, frozen: Params, *, axis_name: str | None = None
    ) -> tuple[TrainState, Metrics]:
        generator = state.players["generator"]
        discriminator = state.players["discriminator"] if objective.needs("logits") else None
        keys = image_keys(seed, state.step, batch["input"].shape[0], axis_name)
        inputs, targets = prepare(keys, batch)
        reference = make_reference(inputs, targets, frozen)

        def generator_loss(params: Params) -> tuple[jax.Array, Any]:
            prediction = predict(params, inputs)
            images = prediction["images"]
            if objective.needs("features"):
                prediction["features"] = features(images, frozen)
            if discriminator is not None:
                prediction["logits"] = logits(images, discriminator.params)
            total, terms = objective(prediction, reference, axis_name=axis_name)
            return total, (terms, images)

        gradient = jax.value_and_grad(generator_loss, has_aux=True)
        (total, (terms, enhanced)), gradients = gradient(generator.params)
        gradients = {"generator": gradients}
        metrics = {**terms, "total": total, "mse": jnp.mean(jnp.square(enhanced - targets))}

        def classification_loss(params: Params) -> tuple[jax.Array, jax.Array]:
            is_real = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, 1)))(keys)
            images = jnp.where(is_real[:, None, None, None], targets, enhanced)
            values = logits(images, params)
            accuracy = jnp.mean((real_logit(values) > 0) == is_real)
            return jnp.mean(discriminator_loss(values, is_real)), accuracy

        if discriminator is not None:
            gradient = jax.value_and_grad(classification_loss, has_aux=True)
            (loss, accuracy), gradients["discriminator"] = gradient(discriminator.params)
            metrics |= {"discriminator_loss": loss, "discriminator_accuracy": accuracy}

        gradients, metrics = mean_over_devices((gradients, metrics), axis_name)
        state, metrics = guarded_update(
            state, gradients, optimizers, metrics, total_limit=total_limit, ema=ema
        )
        # After averaging: the PSNR of a mean error is not the mean of PSNRs.
        metrics["psnr"] = psnr_of_mse(metrics.pop("mse"))
        return state, metrics

    return train_step
