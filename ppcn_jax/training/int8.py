"""The ranges for int8 of a run with `train.quantize`, chosen on its own crops when it starts."""

import contextlib
import math
import pathlib
import sys
from collections.abc import Callable, Generator, Mapping

import jax
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.models.int8 import Ranges
from ppcn_jax.models.int8_ranges import SIDE, find_ranges
from ppcn_jax.photos.levels import to_float
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.exchange import exchange
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.progress import heartbeat
from ppcn_jax.training.start_from import load_start
from ppcn_jax.weights.checkpoints import steps_in
from ppcn_jax.weights.int8 import RANGES_FILE, ranges_from_text, ranges_to_text, read_ranges

# Squares of the training crops among which the search chooses.
_SQUARES = 128

Batches = Callable[[int], Generator[dict[str, np.ndarray]]]


def run_ranges(
    config: ConfigDict, workdir: pathlib.Path, batches: Batches
) -> dict[str, Ranges] | None:
    """The ranges of a run, the same in all its processes; None if it trains in float32.

    Those of the workdir, or, where there are none yet, those that the export would choose for the
    network that the run starts from, on crops of its first batches.

    Args:
        config: of the run.
        workdir: of the run.
        batches: first step -> this process's batches from that step on.

    Raises:
        InputError: a run that cannot be resumed because its ranges are missing or unreadable.
    """
    if not config.train.quantize:
        return None
    path, text = workdir / RANGES_FILE, ""
    if jax.process_index() == 0:
        if path.is_file():
            text = ranges_to_text(read_ranges(path))
        elif steps_in(workdir):
            raise InputError(f"{path} is missing, without which the run cannot be resumed")
        else:
            text = ranges_to_text(_search(config, batches))
    # Crops, and on machines of another kind also sums, differ between processes.
    return ranges_from_text(exchange(text)[0], path)


def write_ranges(workdir: pathlib.Path, ranges: Mapping[str, Ranges]) -> None:
    """Write the ranges of a run into its workdir.

    Raises:
        InputError: they cannot be written.
    """
    try:
        write_bytes(workdir / RANGES_FILE, ranges_to_text(ranges).encode())
    except OSError as error:
        raise InputError(f"--workdir {workdir} cannot be written: {error}") from error


def _search(config: ConfigDict, batches: Batches) -> dict[str, Ranges]:
    model = load_start(config).model
    wanted = math.ceil(_SQUARES / max(config.data.crop // SIDE, 1) ** 2)
    crops: list[np.ndarray] = []
    with contextlib.closing(batches(0)) as stream:
        while len(crops) < wanted:
            images = next(stream)["input"]  # [local devices, crops on each, H, W, 3]
            crops += list(to_float(images.reshape(-1, 1, *images.shape[2:])))
    state = ""

    def say(line: str) -> None:
        nonlocal state
        state = line

    with heartbeat(lambda: f"int8: {state}", sys.stdout, seconds=15):
        return find_ranges(model.module, model.params, crops[:wanted], say)
