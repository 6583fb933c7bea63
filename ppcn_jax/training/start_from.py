"""The parameters of another network that a run starts from: `config.start_from`."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from ppcn_jax.configuration.workdir import places
from ppcn_jax.models.definitions import Params
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.steps.state import Player, TrainState
from ppcn_jax.weights.checkpoint_record import digest
from ppcn_jax.weights.checkpoints import FOLDER, has_tree, restore_params, steps_in
from ppcn_jax.weights.int8 import RANGES
from ppcn_jax.weights.load import STARTED_FROM, find_run, load_model, read_config
from ppcn_jax.weights.model import Model, complete_settings

_DISCRIMINATOR = "discriminator"


@dataclasses.dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        model: the network whose parameters the generator takes.
        discriminator: the one that was trained with that network, if it was saved.
    """

    model: Model
    discriminator: Params | None = None


def check_start(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Check the network that a run starts from.

    If the run has a checkpoint to resume from, that network is only read if it has another path
    now, and must have the same parameters.

    Raises:
        InputError: see `load_start`, or it is another network than the one the run started from.
    """
    if not config.get("start_from"):
        return
    record = workdir / STARTED_FROM
    if not steps_in(workdir):
        load_start(config)
    elif record.is_file():
        known = read_config(record)
        if places(config.start_from) != places(known.get("start_from", "")):
            params = load_start(config).model.params
            if digest(params) != known.get("sha256", {}).get("generator"):
                raise InputError(
                    f"config.start_from={config.start_from} has other parameters than "
                    f"{known.get('start_from')}, from which the run in {workdir} started: name "
                    "that one, or use another --workdir"
                )


def load_start(config: ConfigDict) -> Start:
    """Load what `config.start_from` names.

    Any preset fits: it says how a network was trained, not what it computes.

    Raises:
        InputError: it cannot be loaded, or is another network than the one to be trained.
    """
    path = config.start_from
    settings = config.get("model_settings", ConfigDict()).to_dict()
    ours = complete_settings(config.model, settings)
    try:
        found = find_run(path)
        if found and found.tree is None:  # the run may be writing newer checkpoints meanwhile
            path = found.workdir / FOLDER / str(found.step)
        model = load_model(path)
    except InputError as error:
        raise InputError(f"config.start_from: {error}") from error
    if model.name != config.model:
        raise InputError(
            f"config.start_from={config.start_from} holds a {model.name}, but this run trains a "
            f"{config.model}: name a {config.model}"
        )
    if (theirs := model.settings) != ours:
        raise InputError(
            f"config.start_from={config.start_from} holds a {model.name} with {theirs}, but this "
            f"run has {ours}: use the same config.model_settings, or another network"
        )
    discriminator = None
    if found and has_tree(found.workdir, found.step, _DISCRIMINATOR):
        discriminator = restore_params(found.workdir, found.step, _DISCRIMINATOR)
    return Start(model, discriminator)


def start_from(
    state: TrainState, origin: Start, config: ConfigDict
) -> tuple[TrainState, dict, str]:
    """Put the parameters of another network into the state at step 0.

    Args:
        state: with random parameters and fresh optimizers.
        origin: from `load_start`.
        config: of the run.

    Returns:
        The state, the record for the workdir, and a line that says where the parameters come from.
    """
    model = origin.model
    players = dict(state.players)
    generator = players["generator"]
    average = None if generator.average is None else _copy(model.params)
    players["generator"] = Player(_copy(model.params), generator.opt_state, average)
    record: dict[str, Any] = {
        "start_from": config.start_from,
        "source": model.source,
        "network": model.name,
        "preset": model.preset,
        "sha256": {"generator": digest(model.params)},
        # This run has ranges of its own, or none.
        "about": {name: text for name, text in model.about.items() if name != RANGES},
    }
    line = f"starts from {model.source}"
    if player := players.get(_DISCRIMINATOR):
        if origin.discriminator is None:
            problem = "none was saved with it"
        else:
            problem = _difference(origin.discriminator, player.params)
        if problem:
            record["random"] = {_DISCRIMINATOR: problem}
            line += f"; the {_DISCRIMINATOR} starts from random parameters, because {problem}"
        else:
            players[_DISCRIMINATOR] = Player(_copy(origin.discriminator), player.opt_state)
            record["sha256"][_DISCRIMINATOR] = digest(origin.discriminator)
            line += f", with its {_DISCRIMINATOR}"
    return TrainState(state.step, players), record, line


def write_record(workdir: pathlib.Path, record: dict[str, Any]) -> None:
    """Write started_from.json.

    Raises:
        InputError: it cannot be written.
    """
    try:
        write_json(workdir / STARTED_FROM, record)
    except OSError as error:
        raise InputError(f"--workdir {workdir} cannot be written: {error}") from error


def _difference(theirs: Params, ours: Params) -> str:
    """The first parameter that is missing or has another shape, or ""."""
    there, here = flatten_dict(theirs, sep="/"), flatten_dict(ours, sep="/")
    for name in sorted({*there, *here}):
        if name not in there or name not in here:
            return f"only {'this run' if name in here else 'the saved one'} has {name}"
        if np.shape(there[name]) != np.shape(here[name]):
            return f"the saved {name} has shape {np.shape(there[name])}, not {np.shape(here[name])}"
    return ""


def _copy(params: Params) -> Params:
    return jax.tree.map(np.array, params)
