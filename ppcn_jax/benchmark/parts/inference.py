"""Networks on one image in JAX and in other libraries."""

from collections.abc import Sequence

import numpy as np

from ppcn_jax.benchmark.competitors import COMPETITORS, JAX, Run, missing_packages, open_jax
from ppcn_jax.benchmark.floors import network_work
from ppcn_jax.benchmark.pytorch.inference import in_float64
from ppcn_jax.benchmark.rows import Rows, make_row, record_problem, timed_rows
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.verify import TOLERANCE
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model


def measure_inference(
    model: Model, size: tuple[int, int], competitors: Sequence[str], *, rounds: int
) -> Rows:
    """Time a network on a synthetic photo of `size` (height, width), with JAX and competitors.

    A super-resolver gets a photo that was shrunk and enlarged. A competitor that cannot run, or
    whose output, clipped to [0, 1], differs from JAX's by more than 1e-4, is not timed; its row
    says why.
    """
    task = f"{model.name.replace('_', '-')}, {size[1]}x{size[0]}"
    image = as_input(model, synthetic_photo(*size))[0]
    runners: dict[str, Run] = {JAX: open_jax(model, image)}
    outputs = {JAX: _clipped(runners[JAX]())}
    problems: dict[str, str] = {}
    for name in competitors:
        with record_problem(problems, name):
            run = COMPETITORS[name](model, image)
            outputs[name] = _clipped(run())
            difference = _largest(outputs[name], outputs[JAX])
            if not difference <= TOLERANCE["float32"]:
                raise InputError(f"its output differs from JAX's by {difference:.1e}")
            runners[name] = run
    columns = {"difference": {name: _largest(out, outputs[JAX]) for name, out in outputs.items()}}
    if not missing_packages("PyTorch"):
        exact = _clipped(in_float64(model, image))
        columns["error"] = {name: _largest(out, exact) for name, out in outputs.items()}
    work = network_work(model.module, model.params, image)
    seconds = take_turns(runners, rounds=rounds)
    yield from timed_rows(task, seconds, work, columns)
    for name, problem in problems.items():
        yield make_row(task, name, problem=problem)


def _clipped(output: np.ndarray) -> np.ndarray:
    return np.clip(output, 0, 1)  # a copy: libraries may reuse the memory of their results


def _largest(output: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(output - reference).max())
