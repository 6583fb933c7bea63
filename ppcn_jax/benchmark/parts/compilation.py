"""How long a training waits for its first step, with and without JAX's compilation cache."""

import json
import pathlib
import statistics

from ppcn_jax.benchmark.child import run_child
from ppcn_jax.benchmark.rows import Rows, timed_rows
from ppcn_jax.runtime.files import write_json


def measure_compilation(config, folder: pathlib.Path, *, rounds: int) -> Rows:
    """Time the first step of the student in processes of their own.

    Args:
        config: of configs/student.py, with names of files.
        folder: for files on the way.
        rounds: how many times each is measured, cold and cached in turns.

    Yields:
        A row for the cold start, and one for the start with all programs in the cache.
    """
    file = folder / "first_step.json"
    write_json(file, json.loads(config.to_json()))
    times: dict[str, list[float]] = {"cold": [], "cached": []}
    for index in range(rounds):
        environment = {
            "JAX_COMPILATION_CACHE_DIR": str(folder / f"compiled{index}"),
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for values in times.values():  # the cold start fills the cache
            values.append(run_child("first_step", str(file), environment=environment))
    medians = {name: statistics.median(values) for name, values in times.items()}
    yield from timed_rows("student's first training step, with compilation", medians)
