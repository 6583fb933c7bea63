"""Share the images of an evaluation among the devices of all processes."""

import contextlib
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

T = TypeVar("T")
Track = Callable[[Sequence[int]], Iterable[int]]  # wraps a loop to show its progress


def useful_devices() -> list[jax.Device]:
    """The devices of this process that are worth sharing images among.

    All accelerators; but one CPU device, because each program uses all cores anyway.
    """
    devices = jax.local_devices()
    return devices[:1] if devices[0].platform == "cpu" else devices


def on_devices(
    work: Callable[[int], T], indices: Sequence[int], devices: Sequence[jax.Device], track: Track
) -> list[T]:
    """The results of `work` for indices in order; each device does one at a time, in a thread."""
    free: queue.SimpleQueue[jax.Device] = queue.SimpleQueue()
    for device in devices:
        free.put(device)

    def work_on_one(index: int) -> T:
        device = free.get()
        try:
            with _default_device(device if len(devices) > 1 else None):
                return work(index)
        finally:
            free.put(device)

    pool = ThreadPoolExecutor(len(devices), thread_name_prefix="evaluation")
    try:
        futures = [pool.submit(work_on_one, index) for index in indices]
        return [futures[position].result() for position in track(range(len(futures)))]
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _default_device(device: jax.Device | None) -> Iterator[None]:
    # The only device is the default already; naming it would compile programs a second time.
    with jax.default_device(device) if device else contextlib.nullcontext():
        yield


def share(count: int, process: int, processes: int) -> Sequence[int]:
    """The indices below `count` that a process computes: every `processes`-th.

    A process for which none is left computes index 0 as well, so that all know what a result is.
    """
    return range(process, count, processes) or range(1)


def gather(values: np.ndarray, count: int) -> np.ndarray:
    """Collect in every process what each has computed for its `share`.

    Args:
        values: float64 `[share, K]`, the results of this process in order.
        count: number of results of all processes.

    Returns:
        float64 `[count, K]` in order, the same bits in all processes.
    """
    processes = jax.process_count()
    padded = np.zeros((-(-count // processes), values.shape[1]))
    padded[: len(values)] = values
    # As integers, because JAX would round float64 to float32.
    gathered = multihost_utils.process_allgather(padded.view(np.uint32))
    everything = np.ascontiguousarray(gathered).view(np.float64)
    return np.stack([everything[index % processes, index // processes] for index in range(count)])
