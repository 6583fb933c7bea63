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
from ppcn_jax.models import grayscale
from ppcn_jax.models.definitions import Params
from ppcn_jax.steps.augment import Batch, image_keys, prepare
from ppcn_jax.steps.guarded_step import GuardedStep
from ppcn_jax.steps.objective import Objective
from ppcn_jax.steps.state import Metrics, TrainState


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules of an enhancer's training run.

    Attributes:
        generator: the enhancer being trained.
        discriminator: used if the objective has a texture or relativistic term.
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
) -> GuardedStep:
    """Build the train step of an enhancer.

    Generator and discriminator are both updated from the state before the step: the discriminator
    sees the images on which the generator's loss was computed, and one all-reduce averages both
    gradients. It sees either the target or the enhanced image of each pair; with a relativistic
    term it sees both, and its loss is that term with the two in the other order.

    Args:
        networks: the modules.
        objective: the generator's objective.
        optimizers: "generator" and, with a texture or relativistic term, "discriminator".
        discriminator_loss: `(logits, is_real) -> [N]`, not used with a relativistic term.
        seed: determines, together with the state's step, the augmentation and which images the
            discriminator sees as real.
        imitation: weight of the teachers' images in the reference of image losses; the target has
            the remaining weight.
        total_limit: updates with a larger total are skipped; see `guarded_update`.
        ema: decay of the average of the generator's parameters, if the state has one.

    Returns:
        The step. Its `batch` is `{"input", "target"}`, uint8 `[N, S, S, 3]`; `frozen` has the
        parameters of "vgg" and a list of those of the "teachers", if they are used; with several
        teachers their images and attention maps are averaged. Metrics are the objective's terms,
        "total", "psnr", with a discriminator "discriminator_loss" and "discriminator_accuracy", and
        those of `guarded_update`.
    """

    relativistic = objective.compares("logits")

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

    def gradients_of(
        state: TrainState, batch: Batch, frozen: Params, *, axis_name: str | None = None
    ) -> tuple[dict[str, Params], Metrics]:
        generator = state.players["generator"]
        discriminator = state.players["discriminator"] if objective.needs("logits") else None
        keys = image_keys(seed, state.step, batch["input"].shape[0], axis_name)
        inputs, targets = prepare(keys, batch)
        reference = make_reference(inputs, targets, frozen)
        if relativistic and discriminator is not None:
            reference["logits"] = logits(targets, discriminator.params)

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
            seen = is_real.reshape(-1, *[1] * (values.ndim - 2))
            accuracy = jnp.mean((real_logit(values) > 0) == seen)
            return jnp.mean(discriminator_loss(values, is_real)), accuracy

        def comparison_loss(params: Params) -> tuple[jax.Array, jax.Array]:
            assert relativistic
            real, other = jnp.split(logits(jnp.concatenate([targets, enhanced]), params), 2)
            values = relativistic({"logits": real}, {"logits": other}, axis_name=axis_name)
            return jnp.mean(values), jnp.mean(real_logit(real) > real_logit(other))

        if discriminator is not None:
            loss_of = comparison_loss if relativistic else classification_loss
            gradient = jax.value_and_grad(loss_of, has_aux=True)
            (loss, accuracy), gradients["discriminator"] = gradient(discriminator.params)
            metrics |= {"discriminator_loss": loss, "discriminator_accuracy": accuracy}
        return gradients, metrics

    return GuardedStep(gradients_of, optimizers, total_limit, ema)
