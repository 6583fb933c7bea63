"""Measurements that need a process of their own, in which nothing is compiled or allocated yet.

    python -m ppcn_jax.benchmark.child photo RUNTIME MODEL HEIGHT WIDTH    # peak memory, bytes
    python -m ppcn_jax.benchmark.child first_step CONFIG.json              # seconds

Each prints one number.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
import psutil
from ml_collections import ConfigDict

from ppcn_jax.benchmark.training_steps import make_jax_step, synthetic_batch
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.weights.load import load_model

TILE = 512


def run_child(*arguments: str, environment: Mapping[str, str] | None = None) -> float:
    """Run this module with some arguments, and return the number that it prints.

    `environment` has variables to change or add.

    Raises:
        RuntimeError: the process failed; with the last line of its errors.
    """
    child = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        check=False,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
    )
    if child.returncode:
        last = child.stderr.strip().rpartition("\n")[2]
        raise RuntimeError(f"process {arguments[0]} ended with {child.returncode}: {last}")
    return float(child.stdout.split()[-1])


def tiled_photo(height: int, width: int) -> np.ndarray:
    """A photo, uint8 `[height, width, 3]`, that takes little memory to create: repeated tiles."""
    tile = synthetic_photo(TILE, TILE)
    repeats = (-(-height // TILE), -(-width // TILE), 1)
    return np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])


def peak_memory() -> int:
    """Peak resident memory of this process, bytes."""
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    # On Linux, ru_maxrss would include the peak of the parent process.
    status = pathlib.Path("/proc/self/status")
    text = status.read_text(encoding="utf-8") if status.is_file() else ""
    if found := re.search(r"VmHWM:\s*(\d+) kB", text):
        return 1024 * int(found[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def seconds_to_first_step(config_file: str) -> float:
    """Seconds from the call of the first training step, which compiles it, to its losses.

    The file is a configuration of the student as JSON.
    """
    config = ConfigDict(json.loads(pathlib.Path(config_file).read_text(encoding="utf-8")))
    batch = synthetic_batch(config.train.batch_size, config.data.crop)
    step = make_jax_step(make_experiment(config), batch)
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    if task == "photo":
        runtime, model, height, width = rest
        enhance_levels([tiled_photo(int(height), int(width))], load_model(model), runtime)
        print(peak_memory())
    else:
        print(seconds_to_first_step(*rest))
