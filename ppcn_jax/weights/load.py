"""Trained networks, read from any of the places where they are kept."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.checkpoints import FOLDER, restore_params, steps_in
from ppcn_jax.weights.model import Model, abstract_params, make_network
from ppcn_jax.weights.safetensors_file import SUFFIX, read_native
from ppcn_jax.weights.tensorflow_checkpoint import find_checkpoint, read_released

CONFIG = "config.json"
# The networks that come with the package: weights/NAME.safetensors.
SHIPPED = ("student", "teacher", "super_resolver")
_SHIPPED_FOLDER = pathlib.Path(__file__).parent / "shipped"


def load_model(path: str | os.PathLike) -> Model:
    """Read a network with its parameters.

    Args:
        path: "student", "teacher" or "super_resolver", which come with the package (`./student` is
            a folder of that name); a native file (`*.safetensors`); a training workdir (its newest
            checkpoint is taken), or one checkpoint in it, `<workdir>/checkpoints/<step>`; or the
            prefix of a released TensorFlow checkpoint (`PREFIX.index` and `PREFIX.data-*`).

    Returns:
        The model, parameters on the host.

    Raises:
        InputError: nothing there, or nothing that can be used; the message says what was looked
            for, or which variable is wrong.
    """
    if path in SHIPPED:
        model = read_native(_SHIPPED_FOLDER / f"{path}{SUFFIX}")
        return dataclasses.replace(model, source=f"{path} (shipped)")
    path = pathlib.Path(path).expanduser()
    if path.suffix == SUFFIX:
        return read_native(path)
    if path.is_dir() or (path.parent.parent / CONFIG).is_file():
        return _read_workdir(path)
    if prefix := find_checkpoint(path):
        return read_released(prefix)
    problem = "is of no kind that is known" if path.exists() else "does not exist"
    raise InputError(
        f"{path} {problem}. Name a network of the package ({', '.join(SHIPPED)}), a weights "
        f"file (*{SUFFIX}), the --workdir of a training run (or "
        f"one of its {FOLDER}/<step>), or the prefix of a TensorFlow checkpoint (the name of its "
        "files without .index and .data-...)."
    )


def _read_workdir(path: pathlib.Path) -> Model:
    one_checkpoint = path.parent.name == FOLDER
    workdir = path.parent.parent if one_checkpoint else path
    if not (workdir / CONFIG).is_file():
        raise InputError(
            f"{path} is not a training workdir: it has no {CONFIG}. Name the --workdir of a run "
            f"of configs/teacher.py or configs/student.py, or one of its {FOLDER}/<step>."
        )
    steps = steps_in(workdir)
    if not steps or (one_checkpoint and path.name not in map(str, steps)):
        raise InputError(f"{path} holds no complete checkpoint; there are {steps}")
    step = int(path.name) if one_checkpoint else steps[-1]
    config = read_config(workdir / CONFIG)
    try:
        module = make_network(config["model"], config.get("model_settings"))
        name, preset, template = config["model"], config["preset"], abstract_params(module)
        known = {
            "data": config.get("data", {}).get("source"),
            "steps": step,
            "seed": config.get("train", {}).get("seed"),
        }
        about = {field: str(value) for field, value in known.items() if value is not None}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{workdir / CONFIG} describes no known network: {error}") from error
    params = restore_params(workdir, step, "generator", template)
    return Model(name, preset, module, params, f"{workdir} (step {step})", about)


def read_config(path: pathlib.Path) -> dict[str, Any]:
    """Read the configuration of a run.

    Args:
        path: its `config.json`.

    Returns:
        Its fields.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no configuration of a run")
    return config
