"""What has to be measured in a process of its own: it starts with nothing compiled or allocated.

    python -m ppcn_jax.benchmark.child photo MODEL HEIGHT WIDTH    # peak memory, bytes
    python -m ppcn_jax.benchmark.child first_step CONFIG.json      # seconds

prints one number.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Mapping

import ml_collections
import numpy as np

from ppcn_jax.benchmark.training_steps import make_jax_step, synthetic_batch
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.weights.load import load_model

TILE = 512


def run_child(*arguments: str, environment: Mapping[str, str] | None = None) -> float:
    """Start a process and wait for its number.

    Args:
        arguments: what to measure, see above.
        environment: variables that differ from this process's.

    Returns:
        What it printed.

    Raises:
        RuntimeError: it failed; with the last line that it wrote.
    """
    child = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        check=False,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if child.returncode:
        last = child.stderr.strip().rpartition("\n")[2]
        raise RuntimeError(f"process {arguments[0]} ended with {child.returncode}: {last}")
    return float(child.stdout.split()[-1])


def memory_of_photo(model: str, height: int, width: int) -> int:
    """Enhance a photo.

    Args:
        model: what `load_model` reads.
        height: of the photo.
        width: of the photo.

    Returns:
        Peak memory of this process so far, bytes.
    """
    enhance_levels([tiled_photo(height, width)], load_model(model))
    return peak_memory()


def tiled_photo(height: int, width: int) -> np.ndarray:
    """A large photo that takes little memory to make: a synthetic one, repeated.

    Args:
        height: of the photo.
        width: of the photo.

    Returns:
        uint8 `[height, width, 3]`.
    """
    tile = synthetic_photo(TILE, TILE)
    repeats = (-(-height // TILE), -(-width // TILE), 1)
    return np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])


def peak_memory() -> int:
    """Peak resident memory of this process, bytes."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss: on Linux a new process starts with that of the one that started it.
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return 1024 * int(found[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def seconds_to_first_step(config_file: str) -> float:
    """Compile and make the first step of a training.

    Args:
        config_file: JSON of a configuration of configs/student.py.

    Returns:
        Seconds from the call of the step to its losses.
    """
    config = ml_collections.ConfigDict(json.loads(pathlib.Path(config_file).read_text()))
    batch = synthetic_batch(config.train.batch_size, config.data.crop)
    step = make_jax_step(make_experiment(config), batch)
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    if task == "photo":
        print(memory_of_photo(rest[0], int(rest[1]), int(rest[2])))
    else:
        print(seconds_to_first_step(*rest))
