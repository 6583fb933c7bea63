"""Networks on one image: JAX beside ONNX Runtime and PyTorch."""

from collections.abc import Sequence

import numpy as np

from ppcn_jax.benchmark.competitors import (
    COMPETITORS,
    JAX,
    Run,
    in_float64,
    missing_packages,
    open_jax,
)
from ppcn_jax.benchmark.floors import network_work
from ppcn_jax.benchmark.rows import Rows, make_row, reported, timed_rows
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.verify import TOLERANCE
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model


def measure_inference(
    model: Model, size: tuple[int, int], competitors: Sequence[str], *, rounds: int
) -> Rows:
    """Time a network on a synthetic photo.

    Args:
        model: the network; a super-resolver is given a photo shrunk and enlarged again.
        size: height and width.
        competitors: keys of `COMPETITORS`.
        rounds: measured of each.

    Yields:
        A row for JAX and for each competitor. One that cannot run, or whose result is not JAX's to
        1e-4 once both are clipped to [0, 1], is not timed: its row says why.
    """
    task = f"{model.name.replace('_', '-')}, {size[1]}x{size[0]}"
    image = as_input(model, synthetic_photo(*size))[0]
    runners: dict[str, Run] = {JAX: open_jax(model, image)}
    outputs = {JAX: _clipped(runners[JAX]())}
    problems: dict[str, str] = {}
    for name in competitors:
        with reported(problems, name):
            run = COMPETITORS[name](model, image)
            outputs[name] = _clipped(run())
            _check(outputs[name], outputs[JAX])
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
    return np.clip(output, 0, 1)  # a copy: runtimes may reuse the memory of their results


def _largest(output: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(output - reference).max())


def _check(output: np.ndarray, reference: np.ndarray) -> None:
    difference = _largest(output, reference)
    if not difference <= TOLERANCE["float32"]:
        raise InputError(f"computes something else: differs from JAX by {difference:.1e}")
