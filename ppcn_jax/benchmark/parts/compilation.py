"""How long a training waits for its first step, with and without JAX's compilation cache."""

import json
import pathlib
import statistics

from ppcn_jax.benchmark.child import run_child
from ppcn_jax.benchmark.rows import Rows, timed_rows
from ppcn_jax.ops.onednn import is_usable
from ppcn_jax.runtime.files import write_json


def measure_compilation(config, folder: pathlib.Path, *, rounds: int) -> Rows:
    """Time the first step of the student in processes of their own.

    Args:
        config: of configs/student.py, with names of files.
        folder: for files on the way.
        rounds: how many times each is measured, cold and cached in turns.

    Yields:
        A row for the cold start, one for the start with all programs in the cache, and where oneDNN
        is usable one for a start with that, whose step is in no cache.
    """
    files = {"cold": folder / "first_step.json"}  # the first of these fills the cache
    files["cached"] = files["cold"]
    write_json(files["cold"], json.loads(config.to_json()))
    if is_usable():
        files["oneDNN"] = folder / "first_step_by_onednn.json"
        values = json.loads(config.to_json())
        values["train"]["onednn"] = True
        write_json(files["oneDNN"], values)
    times: dict[str, list[float]] = {name: [] for name in files}
    for index in range(rounds):
        environment = {
            "JAX_COMPILATION_CACHE_DIR": str(folder / f"compiled{index}"),
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for name, file in files.items():
            times[name].append(run_child("first_step", str(file), environment=environment))
    medians = {name: statistics.median(values) for name, values in times.items()}
    yield from timed_rows("student's first training step, with compilation", medians)
