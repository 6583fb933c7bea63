"""Trained enhancers, read back from where training left them."""

import dataclasses
import json
import os
import pathlib

import flax.linen as nn
import jax

from ppcn_jax.checkpoints import FOLDER, restore_params, steps_in
from ppcn_jax.errors import InputError
from ppcn_jax.networks import NETWORKS, abstract_params, make_network
from ppcn_jax.state import Params

CONFIG = "config.json"


@dataclasses.dataclass(frozen=True)
class Model:
    """A network with its parameters.

    Attributes:
        name: "student" or "teacher".
        preset: "paper" or "released", the preset it was trained with.
        module: the network.
        params: its parameters.
        source: where they came from, for messages and tables.
    """

    name: str
    preset: str
    module: nn.Module
    params: Params
    source: str

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def load_model(path: str | os.PathLike) -> Model:
    """Read an enhancer from a training workdir.

    Args:
        path: a workdir (its newest checkpoint is taken), or one checkpoint in it,
            `<workdir>/checkpoints/<step>`.

    Returns:
        The model, parameters on the host.

    Raises:
        InputError: nothing there that a training run wrote, or a run of something that is not
            an enhancer; the message says what was looked for.
    """
    path = pathlib.Path(path)
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
    config = json.loads((workdir / CONFIG).read_text())
    name = config.get("model")
    if name not in NETWORKS:
        raise InputError(f"{workdir / CONFIG} is of model {name!r}, not one of {list(NETWORKS)}")
    module = make_network(name)
    params = restore_params(workdir, step, "generator", abstract_params(module))
    return Model(name, config["preset"], module, params, f"{workdir} (step {step})")
