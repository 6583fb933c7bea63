"""The only place that maps over devices."""

import collections
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.jax_utils
import jax
import numpy as np
from jax import lax

from ppcn_jax.steps.state import TrainState, TrainStep

AXIS = "devices"
# Steps that may be in flight; on virtual CPU devices many more can dead-lock their collectives.
IN_FLIGHT = 8

Batch = dict[str, np.ndarray]
Metrics = dict[str, jax.Array]


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


class Calls:
    """Several steps, one after another, mapped over all devices of all processes.

    `call(state, batches, frozen) -> (state, metrics)`: as `parallelize`, for a sequence of
    batches; metrics are the last one's. It returns before the device is done, but waits while more
    than `IN_FLIGHT` steps (or one call, if that is longer) are unfinished.

    Args:
        step: `step(state, batch, frozen, *, axis_name)`.
        scan: dispatch the batches of a call together, as one program that loops over them (also
            over one, so that the bits do not depend on their number); otherwise one by one. On
            CPUs it does not pay: XLA brings only those convolutions into a fast form that stand
            outside of loops, and dispatching costs nothing beside a step.
        finished: given the metrics of finished steps, in order: stacked by local device, and with
            `scan` those of a call together, `[local_devices, steps]`.
    """

    def __init__(
        self,
        step: TrainStep,
        *,
        scan: bool,
        finished: Callable[[Metrics], None] = lambda _: None,
    ):
        self._single = parallelize(step)
        self._looped = jax.pmap(functools.partial(_loop, step), AXIS, donate_argnums=0)
        self._scan, self._finished = scan, finished
        self._unfinished: collections.deque[Metrics] = collections.deque()

    def __call__(
        self, state: TrainState, batches: Sequence[Batch], frozen: Any
    ) -> tuple[TrainState, Metrics]:
        """Dispatch the steps of a call."""
        if self._scan:
            stacked = {k: np.stack([b[k] for b in batches], axis=1) for k in batches[0]}
            state, metrics, every = self._looped(state, stacked, frozen)
            self._bound(every, max(1, IN_FLIGHT // len(batches)))
            return state, metrics
        for batch in batches:
            state, metrics = self._single(state, batch, frozen)
            self._bound(metrics, IN_FLIGHT)
        return state, metrics

    def settle(self) -> None:
        """Wait until the device has made all steps."""
        while self._unfinished:
            self._finish_oldest()

    def _bound(self, metrics: Metrics, allowed: int) -> None:
        self._unfinished.append(metrics)
        while len(self._unfinished) > allowed:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        metrics = self._unfinished.popleft()
        jax.block_until_ready(metrics)
        self._finished(metrics)


def _loop(step: TrainStep, state, batches, frozen):
    state, every = lax.scan(
        lambda state, batch: step(state, batch, frozen, axis_name=AXIS), state, batches
    )
    return state, jax.tree.map(lambda values: values[-1], every), every


def replicate(tree: Any) -> Any:
    """Copy a tree of host arrays to every local device, stacked on a new first axis."""
    # The name that pmap gives its results: with another, the second step compiles anew.
    return flax.jax_utils.replicate(tree, axis_name=AXIS)


def to_devices(batch: Any) -> Any:
    """Copy a batch `[local_devices, ...]` of host arrays to the devices, each its own part."""
    # The sharding is that of a mapped step's arguments, so that the step copies nothing.
    return jax.pmap(lambda part: part, AXIS)(batch)


def to_host(tree: Any) -> Any:
    """One replica of a replicated tree as NumPy arrays, fetched together."""
    # Indexing on the device would compile a program for every shape.
    shards = jax.device_get(jax.tree.map(lambda x: x.addressable_shards[0].data, tree))
    # Copies: on CPUs the shards are the devices' own memory, which the next step takes over.
    return jax.tree.map(lambda shard: np.array(shard[0]), shards)
