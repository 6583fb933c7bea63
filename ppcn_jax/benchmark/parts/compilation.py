"""The time until the first training step is done, with and without JAX's compilation cache."""

import json
import pathlib
import statistics

from ml_collections import ConfigDict

from ppcn_jax.benchmark.child import run_child
from ppcn_jax.benchmark.rows import Rows, timed_rows
from ppcn_jax.runtime.files import write_json


def measure_compilation(config: ConfigDict, folder: pathlib.Path, *, rounds: int) -> Rows:
    """Time the first step in new processes, alternately with an empty cache and a filled one.

    `config` is a configuration of the student that names all files.
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
