"""Rules for configurations and workdirs, checked before any work starts."""

import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from ppcn_jax.configuration import fields
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.steps.objective import LOSSES, term_problems
from ppcn_jax.weights.load import CONFIG, read_config

# What may change when a run is continued, because it does not change the steps it makes.
FREE_ON_RESUME = (
    "checkpoint",
    "evaluate",
    "hang",
    "log",
    "data.dir",
    "data.test_dir",
    "data.in_memory",
    "train.guard",
    "train.unreadable",
    "train.steps",
    "train.steps_per_call",
)
# Fields that workdirs of older versions lack, and what was done without them.
_BEFORE = {
    "data.validation": 0,
    "precision": dict.fromkeys(("vgg", "discriminator", "generator"), "float32"),
    "imitation": 0.0,
    "objective.log_mse.clipped": False,
    "train.optimizer": "adam",
    "train.weight_decay": 0.0,
}
# Fields that only workdirs of older versions have; they never changed what a run learns.
_REMOVED = ("train.onednn",)
# Fields, or groups of them, that must fit to others.
_FITTED = (
    "data.crop",
    "data.scale",
    "discriminator",
    "imitation",
    "model",
    "objective",
    "teacher",
    "train.batch_size",
    "train.optimizer",
    "train.weight_decay",
    "vgg",
)


def check(config, *, devices: int) -> None:
    """Check a configuration: every field by itself, then what must fit together.

    Args:
        config: of a file in configs/.
        devices: number of devices of all processes, which share the batch.

    Raises:
        InputError: lists everything that is wrong, each with what to change.
    """
    values = config.to_dict()
    rules = fields.rules_of(values)
    if rules is None:
        tasks = ", ".join(map(repr, ("train", *fields.OTHERS)))
        raise InputError(f"the configuration's task is {values.get('task')!r}; there are {tasks}")
    wrong = dict(fields.problems(values, rules))
    problems = [f"{field} {problem}" for field, problem in wrong.items()]
    if values["task"] == "train" and not any(map(_is_fitted, wrong)):
        problems += _training_problems(values, devices)
    if len(problems) == 1:
        raise InputError(f"the configuration does not fit together: {problems[0]}")
    if problems:
        lines = (f"- {problem}" for problem in problems)
        raise InputError("\n".join(["the configuration does not fit together:", *lines]))


def _is_fitted(field: str) -> bool:
    return any(field.startswith(other) or other.startswith(field) for other in _FITTED)


def _training_problems(config: Mapping[str, Any], devices: int) -> Iterator[str]:
    batch, crop = config["train"]["batch_size"], config["data"]["crop"]
    if batch % devices:
        lower = batch // devices * devices
        yield (
            f"train.batch_size is {batch}, which {devices} devices cannot share evenly: "
            f"use {lower + devices}" + (f" or {lower}" if lower else "")
        )
    if config["train"]["weight_decay"] and config["train"]["optimizer"] != "muon":
        yield "train.weight_decay is for train.optimizer=muon; set it to 0"
    outputs = config.get("discriminator", {}).get("outputs", 1)
    wrong = list(term_problems(config["objective"], side=crop, outputs=outputs))
    yield from wrong
    if not wrong:
        weights = {name: term["weight"] for name, term in config["objective"].items()}
        if not any(weights.values()):
            yield "objective has no term with a weight other than 0; give one a weight"
        yield from (_super_resolver if "model_settings" in config else _enhancer)(config, weights)


def _super_resolver(config: Mapping[str, Any], weights: Mapping[str, float]) -> Iterator[str]:
    scale, crop = config["model_settings"]["scale"], config["data"]["crop"]
    if crop % scale:
        multiple = (crop // scale + 1) * scale
        yield f"data.crop is {crop}, not a multiple of the scale {scale}: use {multiple}"
    if config["data"]["scale"] != scale:
        yield (
            f"data.scale is {config['data']['scale']} and model_settings.scale {scale}: make them "
            "one"
        )
    strangers = sorted(name for name in weights if weights[name] and LOSSES[name][1] != "images")
    if strangers:
        yield f"objective has {strangers}; only losses that compare images are computed here"


def _enhancer(config: Mapping[str, Any], weights: Mapping[str, float]) -> Iterator[str]:
    attention = weights.get("attention")
    of_features = (name for name in weights if LOSSES[name][1] == "features")
    if any(weights[name] for name in of_features) and not config["vgg"]["weights"]:
        yield (
            "vgg.weights is empty, but the contextual or perceptual loss needs VGG features: "
            "name a weights file (README, 'VGG weights'), or set the weights of both to 0"
        )
    if attention and config["model"] != "student":
        yield "objective.attention.weight is for a student; set it to 0"
    guided = attention or config["imitation"]
    if guided and not config["teacher"]:
        yield (
            "teacher is empty: name the workdir of a trained teacher with --config.teacher=, "
            "or set imitation and objective.attention.weight to 0, as "
            "configs/student.py:no_distillation does"
        )
    if config["teacher"] and not guided:
        yield (
            "teacher is given, but objective.attention.weight and imitation are 0: drop it, or set "
            "one of them"
        )
    of_images = (name for name in weights if LOSSES[name][1] == "images")
    if config["imitation"] and not any(weights[name] for name in of_images):
        yield "imitation is for losses of images, of which none has a weight; set it to 0"


def check_workdir(workdir: pathlib.Path, config) -> None:
    """Refuse a workdir that cannot be written or that a run of something else has.

    Args:
        workdir: of the run; need not exist.
        config: the full configuration.

    Raises:
        InputError: it is no folder, cannot be written to, or belongs to another experiment; lists
            the fields that differ.
    """
    place = next(path for path in (workdir, *workdir.absolute().parents) if os.path.lexists(path))
    if not place.is_dir():
        raise InputError(f"--workdir {workdir}: {place} is a file; name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"--workdir {workdir}: no permission to write in {place}")
    path = workdir / CONFIG
    if config.task == "train" and path.is_file():
        old = read_config(path)
        if differing := sorted(_differences(old, json.loads(config.to_json()))):
            raise InputError(
                f"{workdir} holds a run of another experiment; these fields differ:\n"
                + "\n".join(differing)
                + "\nUse another --workdir, or the fields of that run."
            )


def claim_workdir(workdir: pathlib.Path, config, versions: dict[str, str], *, write: bool) -> None:
    """Write the configuration into a workdir, or check that it is that of the run there.

    Args:
        workdir: of the run; made if it does not exist.
        config: the full configuration.
        versions: of the packages in use.
        write: whether this process is the one that writes; all of them check.

    Raises:
        InputError: it cannot be written, or see `check_workdir`.
    """
    check_workdir(workdir, config)
    if write:
        try:
            write_json(workdir / CONFIG, json.loads(config.to_json()))
            write_json(workdir / "versions.json", versions)
        except OSError as error:
            raise InputError(f"--workdir {workdir} cannot be written: {error}") from error


def removed_fields(workdir: pathlib.Path) -> list[str]:
    """Fields in a workdir's configuration that this version no longer has and ignores.

    Args:
        workdir: of the run.

    Returns:
        Their dotted names.
    """
    path = workdir / CONFIG
    config = read_config(path) if path.is_file() else {}
    return [field for field in _REMOVED if field.split(".")[1] in config.get("train", {})]


def _differences(old: dict, new: dict, prefix: str = ""):
    for key in sorted({*old, *new}):
        field = f"{prefix}{key}"
        now = new.get(key)
        if key in old:
            there = old[key]
        elif prefix == "objective.":  # a loss that came later
            there = {**new[key], "weight": 0.0}
        else:
            there = _BEFORE.get(field)
        if field in (*FREE_ON_RESUME, *_REMOVED) or there == now:
            continue
        if isinstance(there, dict) and isinstance(now, dict):
            yield from _differences(there, now, f"{field}.")
        else:
            yield f"- {field}: {there!r} there, {now!r} now"
