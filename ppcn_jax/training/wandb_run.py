"""Scalars and pictures of a run for Weights & Biases: `config.log.wandb`."""

import importlib.util
import json
import pathlib
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json

RECORD = "wandb.json"  # in a workdir: project -> id of the run there
_ENDING = "Leave config.log.wandb empty to train without it."


def check_wandb(project: str) -> None:
    """Check that the package is installed, if `project` names a project.

    Raises:
        InputError: it is not; the message says how to install it.
    """
    if project and importlib.util.find_spec("wandb") is None:
        raise InputError(
            f"config.log.wandb={project} needs the package wandb: run pip install '.[wandb]' in a "
            f"clone of the repository. {_ENDING}"
        )


class WandbRun:
    """A run of Weights & Biases; a `Writer`.

    The training run in a workdir stays one run there, however often it is resumed. The x-axis is the
    value "step", so that steps which are made again after a crash are not refused. Where the data go
    is decided by the package's own variables, such as WANDB_MODE=offline.

    Args:
        project: name of the project.
        workdir: of the training run; the package writes its files to `wandb/` in it.
        config: all fields.

    Raises:
        InputError: the package cannot open the run, for example because there is no API key.
    """

    def __init__(self, project: str, workdir: pathlib.Path, config: Mapping[str, Any]):
        import wandb

        record = workdir / RECORD
        known: dict[str, str] = (
            json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        )
        identity = known.get(project) or secrets.token_hex(4)
        try:
            self._run = wandb.init(
                project=project,
                id=identity,
                resume="allow",
                name=workdir.name,
                dir=workdir,
                config=dict(config),
                settings=wandb.Settings(console="off"),  # the progress bar is not a log
            )
        except (wandb.Error, OSError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"config.log.wandb={project}: {reason} {_ENDING}") from error
        write_json(record, known | {project: identity})
        self._image = wandb.Image
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers of a step by name."""
        self._run.log({"step": step, **values})

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Log a picture of a step, uint8 `[H, W, 3]`."""
        self._run.log({"step": step, f"picture/{name}": self._image(image)})

    def close(self) -> None:
        """Wait until the package has everything on the disk, or has sent it."""
        self._run.finish()
