"""The contextual loss of large maps: its matrix complete in memory, in blocks of rows, in PyTorch."""

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax import losses
from ppcn_jax.benchmark.floors import Work
from ppcn_jax.benchmark.pytorch.losses import open_contextual
from ppcn_jax.benchmark.rows import Rows, timed_rows
from ppcn_jax.evaluation.timing import take_turns

WHOLE, BLOCKS, PYTORCH = "whole matrix", "blocks of rows", "PyTorch"
# Entries of the matrix above which it is not computed whole in JAX: ten arrays of that size are.
LARGEST_WHOLE = 2**26
# `losses.contextual` is the function.
_MODULE: Any = importlib.import_module("ppcn_jax.losses.contextual")


def measure_contextual(
    side: int, channels: int, competitors: Sequence[str] = (), *, rounds: int
) -> Rows:
    """Time the loss and its gradient for one pair of maps `[side, side, channels]`.

    PyTorch, if it is among the competitors, computes with the complete matrix. `difference` is the largest of the gradient, relative to its largest value. Memory is what the
    compiled program needs besides arguments and results.
    """
    positions = side * side
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 1, side, side, channels), np.float32)
    prediction, target = jax.device_put(tuple(maps))
    programs: dict[str, Any] = {}
    limits = {WHOLE: positions**2} if positions**2 <= LARGEST_WHOLE else {}
    limits[BLOCKS] = min(_MODULE.BLOCK_ENTRIES, positions**2 - 1)
    block_entries = _MODULE.BLOCK_ENTRIES
    try:
        for name, entries in limits.items():
            _MODULE.BLOCK_ENTRIES = entries
            # A new function each time, and the loss without the wrapper that compiles it: JAX would
            # reuse the other's trace from its cache.
            loss = inspect.unwrap(losses.contextual)
            gradient = jax.value_and_grad(lambda y, t, loss=loss: jnp.sum(loss(y, t)))
            programs[name] = jax.jit(gradient).lower(prediction, target).compile()
    finally:
        _MODULE.BLOCK_ENTRIES = block_entries
    gradients = {name: np.asarray(run(prediction, target)[1]) for name, run in programs.items()}
    turns: dict[str, Callable[[], Any]] = {}
    for name, run in programs.items():
        turns[name] = functools.partial(_finished, run, prediction, target)
    if PYTORCH in competitors:
        turns[PYTORCH] = open_contextual(*maps)
        gradients[PYTORCH] = turns[PYTORCH]()
    first = gradients[next(iter(limits))]
    scale = np.abs(first).max()
    columns = {
        "difference": {
            name: float(np.abs(gradient - first).max() / scale)
            for name, gradient in gradients.items()
        },
        "megabytes": {
            name: run.memory_analysis().temp_size_in_bytes / 1e6 for name, run in programs.items()
        },
    }
    seconds = take_turns(turns, rounds=rounds)
    # The products of all pairs of positions, and their gradient with respect to the prediction.
    work = Work(2 * 2 * positions**2 * channels, 3 * prediction.nbytes)
    task = f"contextual loss and gradient, {side}x{side}x{channels}"
    yield from timed_rows(task, seconds, work, columns)


def _finished(run: Callable[..., Any], *arguments: jax.Array) -> Any:
    return jax.block_until_ready(run(*arguments))
