"""The contextual loss of large maps, with its matrix complete in memory and in blocks of rows."""

import importlib
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
    """Time the loss and its gradient for one pair of maps `[side, side, channels]`.

    `difference` is the largest of the gradient, relative to its largest value. Memory is what the
    compiled program needs besides arguments and results.
    """
    positions = side * side
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 1, side, side, channels), np.float32)
    prediction, target = jax.device_put(tuple(maps))
    programs: dict[str, Any] = {}
    limits = {WHOLE: positions**2, BLOCKS: min(_MODULE.BLOCK_ENTRIES, positions**2 - 1)}
    block_entries = _MODULE.BLOCK_ENTRIES
    try:
        for name, entries in limits.items():
            _MODULE.BLOCK_ENTRIES = entries
            # A new function each time: JAX would reuse the other's trace from its cache.
            gradient = jax.value_and_grad(lambda y, t: jnp.sum(losses.contextual(y, t)))
            programs[name] = jax.jit(gradient).lower(prediction, target).compile()
    finally:
        _MODULE.BLOCK_ENTRIES = block_entries
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
        name: lambda run=run: jax.block_until_ready(run(prediction, target))
        for name, run in programs.items()
    }
    seconds = take_turns(turns, rounds=rounds)
    # The products of all pairs of positions, and their gradient with respect to the prediction.
    work = Work(2 * 2 * positions**2 * channels, 3 * prediction.nbytes)
    task = f"contextual loss and gradient, {side}x{side}x{channels}"
    yield from timed_rows(task, seconds, work, columns)
