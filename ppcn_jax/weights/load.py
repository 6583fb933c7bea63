"""Load a network from any supported source, and convert it to a native weights file."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.checkpoints import FOLDER, restore_params, steps_in
from ppcn_jax.weights.model import Model, abstract_params, make_network
from ppcn_jax.weights.safetensors_file import SUFFIX, check_name, read_native, write_native
from ppcn_jax.weights.tensorflow_checkpoint import find_checkpoint, read_released

CONFIG = "config.json"  # in a workdir
# Networks that come with the package, as shipped/NAME.safetensors.
SHIPPED = ("student", "teacher", "super_resolver")
_SHIPPED_FOLDER = pathlib.Path(__file__).parent / "shipped"


def load_model(path: str | os.PathLike) -> Model:
    """Load a network with its parameters.

    Args:
        path: "student", "teacher" or "super_resolver", which come with the package (write
            `./student` for a folder of that name); a native weights file (`*.safetensors`); a
            training workdir, whose newest checkpoint is loaded; one checkpoint in it,
            `<workdir>/checkpoints/<step>`; or the prefix of a released TensorFlow checkpoint
            (`PREFIX.index` and `PREFIX.data-*`).

    Returns:
        The model, with its parameters on the host.

    Raises:
        InputError: the path does not exist, has an unknown format, or holds wrong parameters; the
            message names the file and the parameter.
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
    problem = "has an unknown format" if path.exists() else "does not exist"
    raise InputError(
        f"{path} {problem}. Name a network of the package ({', '.join(SHIPPED)}), a weights file "
        f"(*{SUFFIX}), the --workdir of a training run (or one of its {FOLDER}/<step>), or the "
        "prefix of a TensorFlow checkpoint (its file names without .index and .data-...)."
    )


def convert(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    about: Mapping[str, str] | None = None,
) -> Model:
    """Load a network from any supported source and write it as a native weights file.

    Args:
        source: whatever `load_model` accepts.
        destination: the file, `*.safetensors`; an existing one is replaced.
        about: metadata to add to that of the source; an empty text removes an entry.

    Returns:
        The model that was written.

    Raises:
        InputError: the source cannot be loaded, the destination has another suffix, or `about`
            uses a name reserved by the format. Nothing is written.
        OSError: the file cannot be written.
    """
    check_name(destination)
    model = load_model(source)
    merged = {**model.about, **(about or {})}
    model = dataclasses.replace(model, about={name: text for name, text in merged.items() if text})
    write_native(destination, model)
    return model


def _read_workdir(path: pathlib.Path) -> Model:
    one_checkpoint = path.parent.name == FOLDER
    workdir = path.parent.parent if one_checkpoint else path
    if not (workdir / CONFIG).is_file():
        raise InputError(
            f"{path} is not a training workdir: it has no {CONFIG}. Name the --workdir of a "
            f"training run, or one of its {FOLDER}/<step>."
        )
    steps = steps_in(workdir)
    if not steps:
        raise InputError(f"{workdir} has no complete checkpoint yet")
    if one_checkpoint and path.name not in map(str, steps):
        raise InputError(
            f"{path} is no complete checkpoint; available steps: {', '.join(map(str, steps))}"
        )
    step = int(path.name) if one_checkpoint else steps[-1]
    config = read_config(workdir / CONFIG)
    try:
        name, preset = config["model"], config["preset"]
        module = make_network(name, config.get("model_settings"))
        template = abstract_params(module)
        known = {
            "data": config.get("data", {}).get("source"),
            "steps": step,
            "seed": config.get("train", {}).get("seed"),
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{workdir / CONFIG} does not describe a network: {error}") from error
    about = {field: str(value) for field, value in known.items() if value is not None}
    params = restore_params(workdir, step, "generator", template)
    return Model(name, preset, module, params, f"{workdir} (step {step})", about)


def read_config(path: pathlib.Path) -> dict[str, Any]:
    """Read the `config.json` of a run.

    Raises:
        InputError: the file cannot be read or is not a JSON object.
    """
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} is not the configuration of a run")
    return config
