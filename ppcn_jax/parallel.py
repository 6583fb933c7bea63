"""The only place that maps over devices."""

import collections
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.jax_utils
import jax
import numpy as np
from jax import lax

from ppcn_jax.state import TrainState, TrainStep

AXIS = "devices"
# Steps that may be in flight; on virtual CPU devices many more can dead-lock their collectives.
IN_FLIGHT = 8

Batch = dict[str, np.ndarray]
# call(state, batches, frozen) -> (state, metrics of the last batch)
Call = Callable[[TrainState, Sequence[Batch], Any], tuple[TrainState, dict[str, jax.Array]]]


def parallelize(step: TrainStep) -> TrainStep:
    """Map a pure step over all devices of all processes.

    Args:
        step: `step(state, batch, frozen, *, axis_name)`.

    Returns:
        The same for a replicated state and frozen parameters (see `replicate`) and a batch
        `[local_devices, per_device_batch, ...]`; metrics come back stacked by local device, all
        equal. The state is donated: use the returned one.
    """
    return jax.pmap(functools.partial(step, axis_name=AXIS), AXIS, donate_argnums=0)


def parallelize_call(step: TrainStep, *, scan: bool) -> Call:
    """Map several steps, one after another, over all devices of all processes.

    Args:
        step: `step(state, batch, frozen, *, axis_name)`.
        scan: dispatch the batches of a call together, as one program that loops over them (also
            over one, so that the bits do not depend on their number); otherwise one by one. On
            CPUs it does not pay: XLA brings only those convolutions into a fast form that stand
            outside of loops, and dispatching costs nothing beside a step.

    Returns:
        `call(state, batches, frozen) -> (state, metrics)`: as `parallelize`, for a sequence of
        batches; metrics are the last one's. It returns before the device is done, but waits while
        more than `IN_FLIGHT` steps (or one call, if that is longer) are unfinished.
    """
    single = parallelize(step)

    def several(state, batches, frozen):
        state, metrics = lax.scan(
            lambda state, batch: step(state, batch, frozen, axis_name=AXIS), state, batches
        )
        return state, jax.tree.map(lambda values: values[-1], metrics)

    looped = jax.pmap(several, AXIS, donate_argnums=0)
    unfinished: collections.deque[dict[str, jax.Array]] = collections.deque()

    def bounded(metrics, allowed: int):
        unfinished.append(metrics)
        while len(unfinished) > allowed:
            jax.block_until_ready(unfinished.popleft())

    def call(state, batches, frozen):
        if scan:
            stacked = {k: np.stack([b[k] for b in batches], axis=1) for k in batches[0]}
            state, metrics = looped(state, stacked, frozen)
            bounded(metrics, max(1, IN_FLIGHT // len(batches)))
            return state, metrics
        for batch in batches:
            state, metrics = single(state, batch, frozen)
            bounded(metrics, IN_FLIGHT)
        return state, metrics

    return call


def replicate(tree: Any) -> Any:
    """Copy a tree of host arrays to every local device, stacked on a new first axis."""
    # The name that pmap gives its results: with another, the second step compiles anew.
    return flax.jax_utils.replicate(tree, axis_name=AXIS)


def to_host(tree: Any) -> Any:
    """One replica of a replicated tree as NumPy arrays, fetched together."""
    # Indexing on the device would compile a program for every shape.
    shards = jax.device_get(jax.tree.map(lambda x: x.addressable_shards[0].data, tree))
    # Copies: on CPUs the shards are the devices' own memory, which the next step takes over.
    return jax.tree.map(lambda shard: np.array(shard[0]), shards)
