"""Check a configuration before any work starts: each field, then fields that depend on others."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ppcn_jax.configuration import fields
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.objective import LOSSES, make_term

# Fields and groups of fields that the rules across fields read. Where one of them is wrong by
# itself, those rules are not evaluated.
_READ_TOGETHER = (
    "data.crop",
    "data.scale",
    "discriminator",
    "evaluate.photos",
    "imitation",
    "model",
    "objective",
    "precision",
    "profile",
    "start_from",
    "teacher",
    "train.batch_size",
    "train.optimizer",
    "train.quantize",
    "train.weight_decay",
    "vgg",
)


def check(config: ConfigDict, *, devices: int) -> None:
    """Check a configuration of a file in configs/.

    Args:
        config: all fields.
        devices: number of devices of all processes, which share the batch.

    Raises:
        InputError: lists everything that is wrong, each with what to change.
    """
    values = config.to_dict()
    rules = fields.rules_of(values)
    if rules is None:
        tasks = ", ".join(map(repr, ("train", *fields.OTHERS)))
        raise InputError(
            f"invalid configuration: task is {values.get('task')!r}; it must be one of {tasks}"
        )
    wrong = dict(fields.problems(values, rules))
    problems = [f"{field} {problem}" for field, problem in wrong.items()]
    if values["task"] == "train" and not any(map(_is_read_together, wrong)):
        problems += _training_problems(values, devices)
    if problems:
        separator = "\n- " if len(problems) > 1 else " "
        raise InputError(separator.join(["invalid configuration:", *problems]))


def _is_read_together(field: str) -> bool:
    return any(field.startswith(name) or name.startswith(field) for name in _READ_TOGETHER)


def _training_problems(config: Mapping[str, Any], devices: int) -> Iterator[str]:
    batch, crop = config["train"]["batch_size"], config["data"]["crop"]
    if batch % devices:
        lower = batch // devices * devices
        yield (
            f"train.batch_size is {batch}, which {devices} devices cannot share evenly: "
            f"use {lower + devices}" + (f" or {lower}" if lower else "")
        )
    if config["train"]["weight_decay"] and config["train"]["optimizer"] != "muon":
        yield "train.weight_decay works only with train.optimizer=muon; set it to 0"
    if config["train"]["quantize"]:
        if not config["start_from"]:
            yield (
                "train.quantize is True, but start_from is empty: ranges are chosen for trained "
                "parameters, so train in float32 first, and name that run or an included network"
            )
        if (precision := config["precision"]["generator"]) != "float32":
            yield (
                f"precision.generator is {precision!r}, but train.quantize computes everything "
                "that is not in int8 in float32: set it to float32"
            )
    first, steps = config["profile"]["first_step"], config["train"].get("steps")
    # A wrong number of steps is reported already.
    if isinstance(steps, int) and first > steps > 0:
        yield (
            f"profile.first_step is {first}, but train.steps is {steps}, so that nothing would be "
            "traced: use a lower step, or 0 for no trace"
        )
    outputs = config.get("discriminator", {}).get("outputs", 1)
    wrong = list(_term_problems(config["objective"], side=crop, outputs=outputs))
    yield from wrong
    if not wrong:
        weights = {name: term["weight"] for name, term in config["objective"].items()}
        if not any(weights.values()):
            yield "all weights in objective are 0; give at least one loss a weight"
        rules = _super_resolver if config["model"] == "super_resolver" else _enhancer
        yield from rules(config, weights)


def _term_problems(terms: Mapping[str, Any], *, side: int, outputs: int) -> Iterator[str]:
    """Find what is wrong with an objective, without computing anything.

    Every loss is traced on shapes, also with weight 0: losses check their parameters only when
    they are called.

    Args:
        terms: as for `make_objective`.
        side: of the training images, px.
        outputs: number of the discriminator's logits.
    """
    for name, options in terms.items():
        if not isinstance(options, Mapping):
            yield f"objective.{name} is {options!r}; it must be a group with a weight"
            continue
        try:
            make_term(name, options)
        except ValueError as error:
            yield str(error)
            continue
        # With their types, because 1, 1.0 and True are equal.
        others = tuple(
            (option, type(x), x) for option, x in sorted(options.items()) if option != "weight"
        )
        trace: Callable[..., str] = _trace
        try:
            hash(others)
        except TypeError:  # a list, for example, which cannot be a key of the cache
            trace = _trace.__wrapped__
        if problem := trace(name, others, side, outputs):
            yield f"objective.{name}: {problem}"


@functools.lru_cache(maxsize=128)
def _trace(name: str, options: tuple[tuple[str, type, Any], ...], side: int, outputs: int) -> str:
    """Trace a loss; returns the first line of its error, or "" if it has none."""
    shapes = {
        "images": (1, side, side, 3),
        "features": (1, 2, 2, 4),
        "logits": (1, outputs),
        "taps": (1, 2, 2, 1),
    }
    term = make_term(name, {"weight": 1.0, **{option: value for option, _, value in options}})
    example: Any = jax.ShapeDtypeStruct(shapes[term.role], jnp.float32)
    example = {term.role: (example,) if term.role == "taps" else example}
    try:
        jax.eval_shape(functools.partial(term, axis_name=None), example, example)
    except (TypeError, ValueError) as error:
        return str(error).partition("\n")[0]
    return ""


def _super_resolver(config: Mapping[str, Any], weights: Mapping[str, float]) -> Iterator[str]:
    scale, crop = config["model_settings"]["scale"], config["data"]["crop"]
    if crop % scale:
        multiple = (crop // scale + 1) * scale
        yield f"data.crop is {crop}, not a multiple of the scale {scale}: use {multiple}"
    if config["data"]["scale"] != scale:
        yield (
            f"data.scale is {config['data']['scale']}, but model_settings.scale is {scale}: use "
            "the same number"
        )
    if config["evaluate"]["photos"]:
        yield "evaluate.photos works only with enhancers: leave it empty"
    others = sorted(name for name in weights if weights[name] and LOSSES[name][1] != "images")
    if others:
        yield (
            f"objective has a weight for {', '.join(others)}; a super-resolver trains only with "
            "losses that compare images: set it to 0"
        )


def _enhancer(config: Mapping[str, Any], weights: Mapping[str, float]) -> Iterator[str]:
    roles = {LOSSES[name][1] for name, weight in weights.items() if weight}
    if "features" in roles and not config["vgg"]["weights"]:
        users = sorted(name for name in weights if weights[name] and LOSSES[name][1] == "features")
        yield (
            f"vgg.weights is empty, but {', '.join(users)} in objective compares VGG features: name "
            "a weights file (docs/training.md, 'VGG weights'), or set its weight to 0"
        )
    attention = weights.get("attention")
    if attention and config["model"] != "student":
        yield "objective.attention.weight works only with model=student; set it to 0"
    distilled = attention or config["imitation"]
    if distilled and not config["teacher"]:
        yield (
            "teacher is empty: name the workdir of a trained teacher with --config.teacher=, "
            "or set imitation and objective.attention.weight to 0, as "
            "configs/student.py:no_distillation does"
        )
    if config["teacher"] and not distilled:
        yield (
            "teacher is set, but objective.attention.weight and imitation are both 0: leave "
            "teacher empty, or set one of the two"
        )
    if "logits" in roles:
        yield from _adversaries(config["discriminator"], config["objective"])
    if config["imitation"] and "images" not in roles:
        yield "imitation needs a loss that compares images, but none has a weight; set it to 0"


def _adversaries(
    discriminator: Mapping[str, Any], terms: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """The discriminator learns by the form of the enhancer's adversarial loss."""
    used = {name for name in ("texture", "relativistic") if terms.get(name, {}).get("weight")}
    if len(used) == 2:
        yield (
            "objective has a weight for texture and relativistic, but the discriminator can learn "
            "by one of them only: set the other to 0"
        )
    relativistic = "relativistic" in used
    form = "relativistic" if relativistic else terms["texture"].get("form", "non_saturating")
    if form in ("hinge", "relativistic") and discriminator["real_label"] != 1:
        yield (
            f"discriminator.real_label is {discriminator['real_label']}, but the {form} loss has "
            "no labels: set it to 1.0"
        )
    if form not in ("non_saturating", "saturating") and discriminator["clip"]:
        yield f"discriminator.clip is True, but the {form} loss has no probabilities: set it to False"
    if discriminator["network"] == "patch" and discriminator["outputs"] != 1:
        yield (
            f"discriminator.outputs is {discriminator['outputs']}, but discriminator.network=patch "
            "has one logit for each patch: set it to 1"
        )
