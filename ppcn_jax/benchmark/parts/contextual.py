"""The contextual loss of large maps: held whole, and in blocks of rows."""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax import losses
from ppcn_jax.benchmark.floors import Work
from ppcn_jax.benchmark.rows import Rows, timed_rows
from ppcn_jax.evaluation.timing import take_turns

WHOLE, BLOCKS = "whole matrix", "blocks of rows"
# `losses.contextual` is the function.
_MODULE: Any = importlib.import_module("ppcn_jax.losses.contextual")


def measure_contextual(side: int, channels: int, *, rounds: int) -> Rows:
    """Time the loss and its gradient for one pair of maps.

    Args:
        side: of the maps.
        channels: of their features.
        rounds: measured of each.

    Yields:
        Two rows; `difference` is the largest of the gradient, relative to its largest value.
        Memory is what the compiled program needs besides its arguments and results.
    """
    positions = side * side
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 1, side, side, channels), np.float32)
    prediction, target = jax.device_put(tuple(maps))
    programs: dict[str, Any] = {}
    limits = {WHOLE: positions**2, BLOCKS: min(_MODULE.BLOCK_ENTRIES, positions**2 - 1)}
    for name, entries in limits.items():
        with _largest_held(entries):
            # A function of its own: what was traced for the other would be taken from a cache.
            gradient = jax.value_and_grad(lambda y, t: jnp.sum(losses.contextual(y, t)))
            programs[name] = jax.jit(gradient).lower(prediction, target).compile()
    gradients = {name: np.asarray(run(prediction, target)[1]) for name, run in programs.items()}
    scale = np.abs(gradients[WHOLE]).max()
    columns = {
        "difference": {
            name: float(np.abs(gradient - gradients[WHOLE]).max() / scale)
            for name, gradient in gradients.items()
        },
        "megabytes": {
            name: run.memory_analysis().temp_size_in_bytes / 1e6 for name, run in programs.items()
        },
    }
    turns = {
        name: functools.partial(_run, program, prediction, target)
        for name, program in programs.items()
    }
    seconds = take_turns(turns, rounds=rounds)
    # The products of all positions, and their gradient for the prediction.
    work = Work(2 * 2 * positions**2 * channels, 3 * prediction.nbytes)
    task = f"contextual loss and gradient, {side}x{side}x{channels}"
    yield from timed_rows(task, seconds, work, columns)


def _run(program: Any, *arguments: jax.Array) -> None:
    jax.block_until_ready(program(*arguments))


@contextlib.contextmanager
def _largest_held(entries: int) -> Iterator[None]:
    before = _MODULE.BLOCK_ENTRIES
    _MODULE.BLOCK_ENTRIES = entries
    try:
        yield
    finally:
        _MODULE.BLOCK_ENTRIES = before
