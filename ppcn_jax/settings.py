"""Rules between configuration fields, checked once before any work starts."""

import itertools
import json
import pathlib

from ppcn_jax.errors import InputError
from ppcn_jax.files import write_json
from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.models.super_resolver import SCALES
from ppcn_jax.objective import make_objective
from ppcn_jax.weights import CONFIG

# Networks that configurations train: of configs/teacher.py's form, and of configs/
# super_resolution.py's, which is known by its model_settings.
TRAINED_ENHANCERS = ("student", "teacher")
TRAINED_SUPER_RESOLVERS = ("super_resolver",)
# What may change when a run is continued, because it does not change the steps it makes.
FREE_ON_RESUME = (
    "checkpoint",
    "evaluate",
    "log",
    "data.dir",
    "data.test_dir",
    "data.in_memory",
    "train.steps",
    "train.steps_per_call",
)


def check(config, *, devices: int) -> None:
    """Check a training configuration.

    Args:
        config: of configs/teacher.py, configs/student.py or configs/super_resolution.py.
        devices: number of devices of all processes, which share the batch.

    Raises:
        InputError: lists everything that is wrong, each with what to change.
    """
    super_resolution = "model_settings" in config
    problems = [
        *_positive(config),
        *_batch(config, devices),
        *_choices(config, TRAINED_SUPER_RESOLVERS if super_resolution else TRAINED_ENHANCERS),
        *(_super_resolver(config) if super_resolution else _enhancer(config)),
    ]
    if problems:
        raise InputError("\n".join(["the configuration does not fit together:", *problems]))


def _positive(config):
    counts = {
        "train.steps": config.train.steps,
        "train.steps_per_call": config.train.steps_per_call,
        "train.batch_size": config.train.batch_size,
        "checkpoint.every": config.checkpoint.every,
        "checkpoint.keep": config.checkpoint.keep,
        "evaluate.every": config.evaluate.every,
        "log.every": config.log.every,
        "train.learning_rate": config.train.learning_rate,
    }
    if "discriminator" in config:
        counts["discriminator.learning_rate"] = config.discriminator.learning_rate
    for field, value in counts.items():
        if value <= 0:
            yield f"- {field} is {value}; it must be positive"
    if config.data.crop < SMALLEST_SIDE:
        yield f"- data.crop is {config.data.crop}; the networks need at least {SMALLEST_SIDE} px"


def _batch(config, devices: int):
    if config.train.batch_size % devices:
        lower = config.train.batch_size // devices * devices
        yield (
            f"- train.batch_size is {config.train.batch_size}, which {devices} devices cannot "
            f"share evenly: use {lower + devices}" + (f" or {lower}" if lower else "")
        )


def _choices(config, models: tuple[str, ...]):
    if config.model not in models:
        yield f"- model is {config.model!r}; there are {sorted(models)}"
    if config.preset not in ("paper", "released"):
        yield f"- preset is {config.preset!r}; there are 'paper' and 'released'"
    boundaries = [0, *config.train.boundaries]
    if any(a >= b for a, b in itertools.pairwise(boundaries)):
        yield f"- train.boundaries is {tuple(boundaries[1:])}; they must be positive and increase"


def _super_resolver(config):
    scale = config.model_settings.scale
    if scale not in SCALES:
        yield f"- model_settings.scale is {scale}; there are {SCALES}"
    elif config.data.crop % scale:
        multiple = (config.data.crop // scale + 1) * scale
        yield (
            f"- data.crop is {config.data.crop}, not a multiple of the scale {scale}: use {multiple}"
        )
    if config.data.scale != scale:
        yield f"- data.scale is {config.data.scale} and model_settings.scale {scale}: make them one"
    try:
        objective = make_objective(config.objective.to_dict())
    except ValueError as error:
        yield f"- {error}"
        return
    strangers = sorted(name for name, term in objective.terms.items() if term.role != "images")
    if strangers:
        yield f"- objective has {strangers}; only losses that compare images are computed here"


def _enhancer(config):
    try:
        make_objective(config.objective.to_dict())
    except ValueError as error:
        yield f"- {error}"
        return
    weights = {name: term.get("weight", 0) for name, term in config.objective.items()}
    if (weights["contextual"] or weights["perceptual"]) and not config.vgg.weights:
        yield (
            "- vgg.weights is empty, but the contextual or perceptual loss needs VGG features: "
            "name a weights file (README, 'VGG weights'), or set the weights of both to 0"
        )
    if weights["attention"] and config.model != "student":
        yield "- objective.attention.weight is for a student; set it to 0"
    if weights["attention"] and not config.teacher:
        yield (
            "- teacher is empty: name the workdir of a trained teacher with --config.teacher=, "
            "or train without one: configs/student.py:no_distillation"
        )
    if config.teacher and not weights["attention"]:
        yield "- teacher is given, but objective.attention.weight is 0: drop one of the two"


def claim_workdir(workdir: pathlib.Path, config, versions: dict[str, str], *, write: bool) -> None:
    """Write the configuration into a workdir, or check that it is that of the run there.

    Args:
        workdir: of the run; made if it does not exist.
        config: the full configuration.
        versions: of the packages in use.
        write: whether this process is the one that writes; all of them check.

    Raises:
        InputError: the workdir belongs to another experiment; lists the fields that differ.
    """
    path = workdir / CONFIG
    new = json.loads(config.to_json())
    if path.is_file():
        old = json.loads(path.read_text())
        if differing := sorted(_differences(old, new)):
            raise InputError(
                f"{workdir} holds a run of another experiment; these fields differ:\n"
                + "\n".join(differing)
                + "\nUse another --workdir, or the fields of that run."
            )
    if write:
        write_json(path, new)
        write_json(workdir / "versions.json", versions)


def _differences(old: dict, new: dict, prefix: str = ""):
    for key in sorted({*old, *new}):
        field = f"{prefix}{key}"
        if field in FREE_ON_RESUME or old.get(key) == new.get(key):
            continue
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _differences(old[key], new[key], f"{field}.")
        else:
            yield f"- {field}: {old.get(key)!r} there, {new.get(key)!r} now"
