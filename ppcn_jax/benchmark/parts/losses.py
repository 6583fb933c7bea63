"""Losses and metrics with their gradients, beside calls of PyTorch's libraries with the same value."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax import losses, metrics
from ppcn_jax.benchmark.competitors import JAX
from ppcn_jax.benchmark.counterparts import (
    ALONE,
    DIFFERENT,
    LIBRARIES,
    SAME,
    function_of,
    is_installed,
)
from ppcn_jax.benchmark.floors import Work
from ppcn_jax.benchmark.pytorch.libraries import Result, open_call
from ppcn_jax.benchmark.rows import Rows, guarded, make_row, record_problem, timed_rows
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.runtime.errors import InputError, install_hint

# Of values, and of gradients relative to their largest entry: what differs more is not timed.
TOLERANCE = 1e-3
# Features are those of VGG's conv4_2: an eighth of the sides.
STRIDE, CHANNELS = 8, 512
OTHERS = [name for name, library in LIBRARIES.items() if library.arrays == "torch"]


def calls() -> dict[str, dict[str, str]]:
    """The first expression of each function -> library -> its expression with the same mean."""
    first: dict[str, str] = {}
    for ours in [*SAME, *DIFFERENT, *ALONE]:
        if _variable(ours):
            first.setdefault(function_of(ours), ours.removesuffix(".mean()"))
    return {
        ours: {
            library: theirs
            for equal in (ours, f"{ours}.mean()")
            for library, theirs in SAME.get(equal, {}).items()
            if library in OTHERS
        }
        for ours in first.values()
    }


def measure_losses(
    sizes: Sequence[tuple[int, int, int]], *, rounds: int, channels: int = CHANNELS
) -> Rows:
    """Time the mean over a batch and its gradient, for batches of `sizes` (images, height, width).

    A call that cannot run, or whose value or gradient differs from JAX's by more than 1e-3, is not
    timed; its row says why. `difference` is that of the gradient, relative to its largest entry.
    """
    for name in OTHERS:
        if not is_installed(name):
            problem = f"{name} is not installed: {install_hint('bench')}"
            yield make_row("losses", name, problem=problem)
    for size in sizes:
        arrays = _arrays(*size, channels)
        for ours, others in calls().items():
            task = f"{ours}, {size[0]} of {size[2]}x{size[1]}"
            measure = functools.partial(_measure, task, ours, others, arrays, rounds)
            yield from guarded(task, measure)


def _measure(
    task: str,
    ours: str,
    others: Mapping[str, str],
    arrays: Mapping[str, np.ndarray],
    rounds: int,
) -> Rows:
    variable = _variable(ours)
    runners = {JAX: _open_jax(ours, arrays, variable)}
    result, gradient = (np.asarray(each) for each in runners[JAX]())
    value, scale, differences = float(result), float(np.abs(gradient).max()), {JAX: 0.0}
    problems: dict[str, str] = {}
    for name, theirs in others.items():
        if not is_installed(name):
            continue
        with record_problem(problems, name):
            run = open_call(name, theirs, arrays, variable)
            other_value, other_gradient = run()
            difference = float(np.abs(other_gradient - gradient).max() / scale)
            if not max(difference, abs(other_value / value - 1)) <= TOLERANCE:
                raise InputError(f"its gradient differs from JAX's by {difference:.1e}")
            runners[name], differences[name] = run, difference
    read = {name for name in arrays if re.search(rf"\b{name}\b", ours)}
    work = Work(0, gradient.nbytes + sum(arrays[name].nbytes for name in read))
    seconds = take_turns(runners, rounds=rounds)
    yield from timed_rows(task, seconds, work, {"difference": differences})
    for name, problem in problems.items():
        yield make_row(task, name, problem=problem)


def _variable(ours: str) -> str:
    """The prediction that an expression names, "" if there is none."""
    return "".join(re.findall(r"\b[yfz]\b", ours)[:1])


def _open_jax(ours: str, arrays: Mapping[str, np.ndarray], variable: str) -> Callable[[], Result]:
    code = compile(ours, "jax", "eval")
    modules = {"losses": losses, "metrics": metrics, "jnp": jnp}

    @jax.jit
    @jax.value_and_grad
    def compute(prediction: jax.Array, others: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean(eval(code, modules | others | {variable: prediction}))

    on_device = jax.device_put(dict(arrays))
    return lambda: jax.block_until_ready(compute(on_device[variable], on_device))


def _arrays(images: int, height: int, width: int, channels: int) -> dict[str, np.ndarray]:
    """A prediction and target of each kind, by the names of the expressions."""
    rng = np.random.default_rng(0)
    photo = 0.1 + 0.8 * synthetic_photo(height, width) / np.float32(255)
    shape = (images, -(-height // STRIDE), -(-width // STRIDE), channels)
    arrays = {
        "y": photo + rng.uniform(-0.1, 0.1, (images, height, width, 3)),
        "t": photo + rng.uniform(-0.05, 0.05, (images, height, width, 3)),
        "f": rng.normal(0, 1, shape),
        "g": rng.normal(0, 1, shape),
        "z": rng.normal(0, 1, (images, 1)),
        "real": np.arange(images) % 2,
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}
