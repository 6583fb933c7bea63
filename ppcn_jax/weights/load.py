"""Load a network from any supported source, and convert it to a native weights file."""

import dataclasses
import difflib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.storage import to_path
from ppcn_jax.weights.checkpoint_record import FOLDER
from ppcn_jax.weights.model import (
    Model,
    abstract_params,
    complete_settings,
    make_network,
    without_folders,
)
from ppcn_jax.weights.safetensors_file import SUFFIX, check_name, read_native, write_native
from ppcn_jax.weights.tensorflow_checkpoint import find_checkpoint, read_released

CONFIG = "config.json"  # in a workdir
STARTED_FROM = "started_from.json"  # in the workdir of a run with `config.start_from`
# Trees of a checkpoint that hold the network: as it is trained, and averaged over the steps.
GENERATOR, AVERAGE = "generator", "generator_average"
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
            (`PREFIX.index` and `PREFIX.data-*`); each of them also in a bucket, `gs://...`. If the run averages its parameters
            (`train.ema`), the average is loaded; `<workdir>/checkpoints/<step>/generator` names
            the parameters that are not averaged, `.../generator_average` the average.

    Returns:
        The model, with its parameters on the host.

    Raises:
        InputError: the path does not exist, has an unknown format, or holds wrong parameters; the
            message names the file and the parameter.
    """
    if path in SHIPPED:
        # Tests compare the parameters with the networks: nobody waits here for JAX and Flax.
        model = read_native(_SHIPPED_FOLDER / f"{path}{SUFFIX}", check=False)
        return dataclasses.replace(model, source=f"{path} (shipped)")
    path = to_path(path).expanduser()
    if path.suffix == SUFFIX:
        return read_native(path)
    if found := find_run(path):
        return _read_run(found)
    if path.is_dir():
        raise InputError(
            f"{path} is not a training workdir: it has no {CONFIG}. Name the --workdir of a "
            f"training run, or one of its {FOLDER}/<step>."
        )
    if prefix := find_checkpoint(path):
        return read_released(prefix)
    problem = "has an unknown format" if path.exists() else "does not exist"
    near = difflib.get_close_matches(str(path), SHIPPED, 1, 0.8)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise InputError(
        f"{path} {problem}{hint} Name a network of the package ({', '.join(SHIPPED)}), a weights file "
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


class Checkpoint(NamedTuple):
    """A complete checkpoint of a training run.

    Attributes:
        workdir: of the run.
        step: of the checkpoint.
        tree: the parameters that the path names, `GENERATOR` or `AVERAGE`; None if it leaves the
            choice to the run.
    """

    workdir: pathlib.Path
    step: int
    tree: str | None


def find_run(path: str | os.PathLike) -> Checkpoint | None:
    """The checkpoint of a training run that a path names, as `load_model` understands it.

    Returns:
        The checkpoint, or None if the path names a shipped network, a weights file, or nothing in
        a workdir.

    Raises:
        InputError: the workdir has no complete checkpoint, not this one, or no such parameters.
    """
    if path in SHIPPED:
        return None
    path = to_path(path).expanduser()
    step = tree = None
    if path.suffix == SUFFIX:
        return None
    if (path / CONFIG).is_file():
        workdir = path
    elif path.parent.name == FOLDER and (path.parent.parent / CONFIG).is_file():
        workdir, step = path.parent.parent, path.name
    elif path.parent.parent.name == FOLDER and (path.parents[2] / CONFIG).is_file():
        workdir, step, tree = path.parents[2], path.parent.name, path.name
    else:
        return None
    # Only workdirs need Orbax, which takes long to import.
    from ppcn_jax.weights.checkpoints import has_tree, steps_in

    steps = steps_in(workdir)
    if not steps:
        raise InputError(f"{workdir} has no complete checkpoint yet")
    if step is not None and step not in map(str, steps):
        raise InputError(
            f"{workdir / FOLDER / step} is no complete checkpoint; available steps: "
            f"{', '.join(map(str, steps))}"
        )
    found = Checkpoint(workdir, steps[-1] if step is None else int(step), tree)
    networks = [name for name in (GENERATOR, AVERAGE) if has_tree(workdir, found.step, name)]
    if tree is not None and tree not in networks:
        raise InputError(f"{path} is no network; in this checkpoint there is {', '.join(networks)}")
    return found


def _read_run(found: Checkpoint) -> Model:
    # Only workdirs need Orbax, JAX and Flax, which take long to import.
    from ppcn_jax.weights.checkpoints import restore_params
    from ppcn_jax.weights.int8 import RANGES, RANGES_FILE, ranges_to_text, read_ranges

    workdir, step = found.workdir, found.step
    config = read_config(workdir / CONFIG)
    try:
        name, preset = config["model"], config["preset"]
        settings = complete_settings(name, config.get("model_settings"))
        template = abstract_params(make_network(name, settings))
        train = config.get("train", {})
        decay = train.get("ema")
        tree = found.tree or (AVERAGE if decay else GENERATOR)
        known = {
            "data": config.get("data", {}).get("source"),
            "steps": step,
            "seed": train.get("seed"),
            "ema": decay if tree == AVERAGE else None,
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{workdir / CONFIG} does not describe a network: {error}") from error
    about = {field: str(value) for field, value in known.items() if value is not None}
    about |= _origin(workdir, config)
    if (path := workdir / RANGES_FILE).is_file():
        about[RANGES] = ranges_to_text(read_ranges(path))
    params = restore_params(workdir, step, tree, template)
    average = ", averaged parameters" if tree == AVERAGE else ", not averaged" if decay else ""
    return Model(name, preset, settings, params, f"{workdir} (step {step}{average})", about)


def _origin(workdir: pathlib.Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of a network whose run started from another: that one's source and metadata."""
    if not config.get("start_from"):
        return {}
    path = workdir / STARTED_FROM
    if not path.is_file():
        start = without_folders(config["start_from"])
        return {"started_from": f"{start}, not recorded in {STARTED_FROM}"}
    record = read_config(path)
    try:
        source, sha256, about = record["source"], record["sha256"]["generator"], record["about"]
        inherited = {f"started_from_{name}": str(text) for name, text in about.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not describe a network: {error}") from error
    origin = f"{without_folders(source)}, parameters sha256 {sha256}"
    return {"started_from": origin, **inherited}


def read_config(path: pathlib.Path) -> dict[str, Any]:
    """Read the `config.json` of a run, or another of its files with a JSON object.

    Raises:
        InputError: the file cannot be read or is not a JSON object.
    """
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} is not a JSON object")
    return config
