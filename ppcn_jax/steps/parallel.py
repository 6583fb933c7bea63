"""Data parallelism with jax.pmap: the only module that maps over devices."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppcn_jax.steps.state import Metrics, TrainState, TrainStep

AXIS = "devices"
# Limit of unfinished steps. On virtual CPU devices many more can deadlock their collectives.
IN_FLIGHT = 8

Batch = Mapping[str, np.ndarray]


class Mapped:
    """A function that `jax.pmap` maps over all devices of all processes.

    Arguments and results are stacked by device, as arrays of all processes (`replicate`,
    `to_devices`). Therefore the compiled program can be called directly: with several processes, a
    call of `jax.pmap` converts every array from one of this process and back, which takes the host
    longer than a step takes an accelerator (docs/speed.md). The program is compiled at the first
    call, for the shapes of its arguments.

    Attributes:
        pmapped: what `jax.pmap` returns.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        donate: int | tuple[int, ...] = (),
        devices: Sequence[jax.Device] | None = None,
    ):
        self.pmapped = jax.pmap(function, AXIS, devices=devices, donate_argnums=donate)
        self._program: Callable[..., Any] | None = None

    def lower(self, *arguments: Any) -> Any:
        """Trace and lower for these arguments; see `jax.stages.Lowered`."""
        return self.pmapped.lower(*arguments)

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled program."""
        if self._program is None:
            self._program = self.lower(*arguments).compile()
        return self._program(*arguments)


def parallelize(step: TrainStep, devices: Sequence[jax.Device] | None = None) -> Mapped:
    """Map a pure step over all devices of all processes, or over those given.

    The mapped step takes a replicated state and replicated frozen parameters (see `replicate`) and
    a batch (see `to_devices`). Its metrics are stacked by device, all equal. The state is donated:
    use the returned one.
    """
    return Mapped(functools.partial(step, axis_name=AXIS), donate=0, devices=devices)


def on_each_device(function: Callable[..., Any]) -> Mapped:
    """Map a function over all devices of all processes, without donating its arguments.

    Arguments and results are stacked by device; collectives use the axis `AXIS`.
    """
    return Mapped(function)


@dataclasses.dataclass(frozen=True)
class Placed:
    """The batches of a call on the devices: one by one, or stacked for a loop."""

    count: int
    parts: list[dict[str, jax.Array]]


class Calls:
    """Runs several steps per call, mapped over all devices of all processes.

    `call(state, batches, frozen) -> (state, metrics)` is like `parallelize` for a sequence of
    batches, which may be on the devices already (`put`); it returns the metrics of the last. It
    returns before the devices are done, but waits while more than `IN_FLIGHT` steps (or one call, if that is longer) are unfinished.

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
        self._loop = loop
        self._looped: dict[int, Mapped] = {}  # number of steps -> program
        self._scan, self._finished = scan, finished
        self._unfinished: collections.deque[Metrics] = collections.deque()

    def put(self, batches: Sequence[Batch]) -> Placed:
        """Copy the batches of a call to the devices."""
        if self._scan:
            stacked = {k: np.stack([b[k] for b in batches], axis=1) for k in batches[0]}
            return Placed(len(batches), [to_devices(stacked)])
        return Placed(len(batches), [to_devices(batch) for batch in batches])

    def __call__(
        self, state: TrainState, batches: Sequence[Batch] | Placed, frozen: Any
    ) -> tuple[TrainState, Metrics]:
        """Dispatch one step per batch."""
        placed = batches if isinstance(batches, Placed) else self.put(batches)
        if self._scan:
            if placed.count not in self._looped:
                self._looped[placed.count] = Mapped(self._loop, donate=0)
            state, metrics, every = self._looped[placed.count](state, placed.parts[0], frozen)
            self._bound(every, max(1, IN_FLIGHT // placed.count))
            return state, metrics
        for batch in placed.parts:
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
    """Copy a tree of host arrays to every device, stacked on a new first axis."""

    def put(leaf: Any) -> jax.Array:
        leaf = np.asarray(leaf)[np.newaxis]
        copies = [jax.device_put(leaf, device) for device in jax.local_devices()]
        shape = (jax.device_count(), *leaf.shape[1:])
        return jax.make_array_from_single_device_arrays(shape, _stacked(), copies)

    return jax.tree.map(put, tree)


def to_devices(batch: Any) -> Any:
    """Copy host arrays `[local_devices, ...]` to the local devices, one slice to each.

    With several processes, the result is their array of all devices, `[devices, ...]`.
    """

    def put(part: np.ndarray) -> jax.Array:
        shape = (jax.device_count(), *part.shape[1:])
        return jax.make_array_from_process_local_data(_stacked(), part, shape)

    return jax.tree.map(put, batch)


@functools.cache
def _stacked() -> NamedSharding:
    """One slice of the first axis on each device, in pmap's order: those of a process together.

    It is also the sharding of what `Mapped` returns, so that the second step is not recompiled.
    """
    devices = [device for k in range(jax.process_count()) for device in jax.local_devices(k)]
    return NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS))


def to_host(tree: Any) -> Any:
    """One replica of a replicated tree as NumPy arrays, fetched together."""
    # Indexing on the device would compile a program for every shape.
    shards = jax.device_get(jax.tree.map(lambda x: x.addressable_shards[0].data, tree))
    # Copy: on CPUs a shard shares the device's memory, which the next step overwrites.
    return jax.tree.map(lambda shard: np.array(shard[0]), shards)
