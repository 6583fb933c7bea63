"""Data parallelism with jax.pmap: the only module that maps over devices."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.jax_utils
import jax
import numpy as np
from jax import lax

from ppcn_jax.steps.state import Metrics, TrainState, TrainStep

AXIS = "devices"
# Limit of unfinished steps. On virtual CPU devices many more can deadlock their collectives.
IN_FLIGHT = 8

Batch = Mapping[str, np.ndarray]


def parallelize(step: TrainStep) -> TrainStep:
    """Map a pure step over all devices of all processes.

    The mapped step takes a replicated state and replicated frozen parameters (see `replicate`) and
    a batch `[local_devices, per_device_batch, ...]`. Its metrics are stacked by local device, all
    equal. The state is donated: use the returned one.
    """
    return jax.pmap(functools.partial(step, axis_name=AXIS), AXIS, donate_argnums=0)


class Calls:
    """Runs several steps per call, mapped over all devices of all processes.

    `call(state, batches, frozen) -> (state, metrics)` is like `parallelize` for a sequence of
    batches; it returns the metrics of the last. It returns before the devices are done, but waits
    while more than `IN_FLIGHT` steps (or one call, if that is longer) are unfinished.

    Args:
        step: `step(state, batch, frozen, *, axis_name)`.
        scan: dispatch the batches of a call together, as one program with a loop, even if there is
            only one batch, so that the number of batches does not change the bits; otherwise
            dispatch them one by one. Scanning does not pay on CPUs: XLA optimizes only
            convolutions outside of loops, and dispatching is cheap compared to a step.
        finished: called with the metrics of finished steps in order, stacked by local device; with
            `scan` once per call, with metrics `[local_devices, steps]`.
    """

    def __init__(
        self,
        step: TrainStep,
        *,
        scan: bool,
        finished: Callable[[Metrics], None] = lambda _: None,
    ):
        def loop(
            state: TrainState, batches: dict[str, jax.Array], frozen: Any
        ) -> tuple[TrainState, Metrics, Metrics]:
            state, every = lax.scan(
                lambda state, batch: step(state, batch, frozen, axis_name=AXIS), state, batches
            )
            return state, jax.tree.map(lambda values: values[-1], every), every

        self._single = parallelize(step)
        self._looped = jax.pmap(loop, AXIS, donate_argnums=0)
        self._scan, self._finished = scan, finished
        self._unfinished: collections.deque[Metrics] = collections.deque()

    def __call__(
        self, state: TrainState, batches: Sequence[Batch], frozen: Any
    ) -> tuple[TrainState, Metrics]:
        """Dispatch one step per batch."""
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
        """Wait until all dispatched steps are finished."""
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


def replicate(tree: Any) -> Any:
    """Copy a tree of host arrays to every local device, stacked on a new first axis."""
    # With another axis name than that of pmap's results, the second step would be recompiled.
    return flax.jax_utils.replicate(tree, axis_name=AXIS)


def to_devices(batch: Any) -> Any:
    """Copy host arrays `[local_devices, ...]` to the local devices, one slice to each."""
    return jax.pmap(lambda part: part, AXIS)(batch)


def to_host(tree: Any) -> Any:
    """One replica of a replicated tree as NumPy arrays, fetched together."""
    # Indexing on the device would compile a program for every shape.
    shards = jax.device_get(jax.tree.map(lambda x: x.addressable_shards[0].data, tree))
    # Copy: on CPUs a shard shares the device's memory, which the next step overwrites.
    return jax.tree.map(lambda shard: np.array(shard[0]), shards)
