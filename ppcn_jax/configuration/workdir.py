"""Checks of a workdir: it can be written to, and a run in it has the same configuration."""

import json
import os
import pathlib
from collections.abc import Collection, Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.runtime.storage import check_reachable, is_remote
from ppcn_jax.weights.load import CONFIG, STARTED_FROM, read_config

NETWORKS = "networks.json"  # hashes of the frozen networks; see configuration/networks.py

# Fields that may change when a run is continued, because they do not change its training steps.
FREE_ON_RESUME = (
    "audit",
    "checkpoint",
    "evaluate",
    "hang",
    "log",
    "profile",
    "data.dir",
    "data.test_dir",
    "data.photos",
    "data.in_memory",
    "train.guard",
    "train.unreadable",
    "train.steps",
    "train.steps_per_call",
)
# Fields that workdirs of older versions lack, with the values that reproduce those versions.
_BEFORE = {
    "data.validation": 0,
    "data.input_name": "{}",
    "data.photos": "",
    "data.photo_share": 0.5,
    "data.photo_extremes": 0.0,
    "discriminator.network": "paper",
    "precision.vgg": "float32",
    "precision.discriminator": "float32",
    "precision.generator": "float32",
    "imitation": 0.0,
    "objective.log_mse.clipped": False,
    "objective.ms_ssim.per_channel": False,
    "objective.total_variation.form": "squared",
    "train.optimizer": "adam",
    "train.weight_decay": 0.0,
    "train.ema": 0.0,
    "train.quantize": False,
    "start_from": "",
    "model_settings": {"padding": "zeros"},
}
# Fields that name files, and the file of the workdir that has hashes of what is in them: the
# content is compared instead (configuration/networks.py, training/start_from.py).
_BY_CONTENT = {"teacher": NETWORKS, "vgg.weights": NETWORKS, "start_from": STARTED_FROM}
# Fields that only workdirs of older versions have: they chose between equal computations.
_REMOVED = ("train.onednn",)


def check_workdir(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Refuse a workdir that cannot be written to or that holds a different run.

    Args:
        workdir: need not exist.
        config: all fields.

    Raises:
        InputError: it is not a folder, cannot be written to, or holds a different run; the message
            lists the fields that differ.
    """
    if is_remote(workdir):
        check_reachable(workdir, "--workdir")
    else:
        _check_writable(workdir)
    path = workdir / CONFIG
    if config.task == "train" and path.is_file():
        old = read_config(path)
        recorded = [field for field in _BY_CONTENT if (workdir / _BY_CONTENT[field]).is_file()]
        if differing := list(_differences(old, json.loads(config.to_json()), recorded)):
            raise InputError(
                "\n- ".join([f"{workdir} holds a run with another configuration:", *differing])
                + "\nUse another --workdir, or the configuration of that run. With "
                f"--config.start_from={workdir} and another --workdir, a new run starts from its "
                "parameters, for example with another learning rate, schedule or batch."
            )


def _check_writable(workdir: pathlib.Path) -> None:
    place = next(path for path in (workdir, *workdir.absolute().parents) if os.path.lexists(path))
    if not place.is_dir():
        raise InputError(f"--workdir {workdir}: {place} is a file; name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"--workdir {workdir}: no permission to write in {place}")


def claim_workdir(
    workdir: pathlib.Path, config: ConfigDict, versions: dict[str, str], *, write: bool
) -> None:
    """Check a workdir and write the configuration into it.

    Args:
        workdir: created if it does not exist.
        config: all fields.
        versions: of the packages in use; written as versions.json.
        write: False only checks, as all processes but one do.

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


def changes(workdir: pathlib.Path) -> list[str]:
    """Lines about what this version does otherwise than the one that began the run in a workdir."""
    path = workdir / CONFIG
    if not path.is_file():
        return []
    config, lines = read_config(path), []
    removed = [field for field in _REMOVED if field.split(".")[1] in config.get("train", {})]
    if removed:
        lines.append(f"ignored, because this version no longer has them: {', '.join(removed)}")
    # The versions that left the precision of float32 to JAX had no audits.
    if "audit" not in config and jax.default_backend() != "cpu":
        lines.append(
            "the version that began this run left products in float32 to JAX, which rounds their "
            "factors on GPUs and TPUs; from here on, float32 is exact (docs/training.md, Precision)"
        )
    return lines


def _differences(
    old: dict[str, Any], new: dict[str, Any], recorded: Collection[str], prefix: str = ""
) -> Iterator[str]:
    for key in sorted({*old, *new}):
        field = f"{prefix}{key}"
        now = new.get(key)
        if key in old:
            before = old[key]
        elif prefix == "objective.":  # a loss that was added later
            before = {**new[key], "weight": 0.0}
        else:
            before = _BEFORE.get(field, {} if isinstance(now, dict) else None)
        if field in (*FREE_ON_RESUME, *_REMOVED) or before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, recorded, f"{field}.")
        elif not (before and now and field in _BY_CONTENT):
            yield f"{field} was {before!r}, is now {now!r}"
        elif field not in recorded and places(before) != places(now):
            yield (
                f"{field} was {before!r}, is now {now!r}: this workdir has no hash of it "
                f"({_BY_CONTENT[field]}), so that only the same path is accepted"
            )


def places(paths: str) -> list[str]:
    """Comma-separated paths, resolved; those in buckets as they are."""
    stripped = [path.strip() for path in paths.split(",")]
    return [
        path if is_remote(path) else os.path.realpath(os.path.expanduser(path)) for path in stripped
    ]
