"""Endless training batches: tf.data for sources on disk, NumPy for sources in RAM."""

import collections
import concurrent.futures
import contextlib
import itertools
import sys
from collections.abc import Generator, Iterator

import numpy as np

from data.batching.crops import gather
from data.batching.order import Order
from data.batching.quarantine import Quarantine
from data.batching.source import OnDisk, Source
from data.errors import find_package, import_tensorflow

Batch = dict[str, np.ndarray]

_AHEAD = 8  # batches prepared in advance; the consumer keeps about as many in flight


def batches(
    source: Source,
    *,
    seed: int,
    batch_size: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    local_devices: int = 1,
    quarantine: Quarantine | None = None,
) -> Generator[Batch]:
    """Endless batches from `start_step` on; see the batch contract in the docstring of `data`.

    Args:
      source: a training source.
      seed: a non-negative integer that determines the order and the crops.
      batch_size: samples in a global batch, over all devices of all processes.
      start_step: the step of the first batch.
      process_index: index of this process.
      process_count: number of processes that share each batch.
      local_devices: number of devices of this process.
      quarantine: collects records that cannot be read; None raises their errors.

    Returns:
      A generator of dictionaries of `input`, `target` and `id`. Closing or dropping it ends its
      background work.

    Raises:
      ValueError: if the source is a test split, or the numbers do not fit together.
      DataError: from the iterator, if a record cannot be read and there is no quarantine, or too
        many records are in quarantine.
    """
    if source.crop is None:
        raise ValueError("a test split is read one full image at a time; batch the training split")
    if seed < 0 or start_step < 0:
        raise ValueError(f"seed ({seed}) and start_step ({start_step}) must not be negative")
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index {process_index} must be in [0, {process_count})")
    devices = process_count * local_devices
    if batch_size < 1 or batch_size % devices:
        raise ValueError(
            f"the batch size {batch_size} must be a positive multiple of {devices}, the number of "
            "devices of all processes"
        )
    order = Order(len(source), seed, batch_size, process_index, process_count, quarantine)
    if isinstance(source, OnDisk):
        local_batches = _read_tensorflow(source, order, start_step)
    else:
        local_batches = (gather(source, order, step) for step in itertools.count(start_step))
    return _prefetch(local_batches, local_devices)


def sample_names(
    source: Source,
    step: int,
    *,
    seed: int,
    batch_size: int,
    quarantine: Quarantine | None = None,
) -> list[str]:
    """Names of the samples in the global batch of a step, without reading them.

    Args:
      source: a training source.
      step: the step of the batch.
      seed: see `batches`.
      batch_size: see `batches`.
      quarantine: see `batches`.

    Returns:
      The names in the order of the batch.
    """
    order = Order(len(source), seed, batch_size, quarantine=quarantine)
    return [source.names[sample] for sample in order.samples(order.positions(step))]


def _prefetch(batches: Generator[Batch], devices: int) -> Generator[Batch]:
    """Split batches over the devices, and prepare them in a thread after the first one."""

    def prepare() -> Batch:
        arrays = next(batches).items()
        return {name: array.reshape(devices, -1, *array.shape[1:]) for name, array in arrays}

    with (
        contextlib.closing(batches),
        concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="batches") as pool,
    ):
        # Do not prefetch during the first batch: tracing and compiling hold the GIL.
        yield prepare()
        ahead = collections.deque(pool.submit(prepare) for _ in range(_AHEAD))
        while True:
            ahead.append(pool.submit(prepare))
            yield ahead.popleft().result()


def _read_tensorflow(source: OnDisk, order: Order, start_step: int) -> Generator[Batch]:
    steps = itertools.count(start_step)
    if "tensorflow" not in sys.modules:
        yield from _gather_while_importing(source, order, steps)
    tf, step = import_tensorflow(), next(steps)
    while True:
        try:
            for batch in source.dataset(order, step).prefetch(_AHEAD).as_numpy_iterator():
                yield batch
                step += 1
        except tf.errors.OpError:  # while decoding
            pass
        # NumPy finds the unreadable record and replaces it, or raises its error.
        yield gather(source, order, step)
        step += 1


def _gather_while_importing(source: OnDisk, order: Order, steps: Iterator[int]) -> Generator[Batch]:
    """Gather batches with NumPy, which are identical, while TensorFlow's import takes seconds."""
    find_package("tensorflow", "data")  # raises here and not in the thread
    # The import rarely releases the GIL and slows gathering down, so gather some batches before it.
    for step in itertools.islice(steps, 1 + _AHEAD):
        yield gather(source, order, step)
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        importing = pool.submit(import_tensorflow)
        while not importing.done():
            yield gather(source, order, next(steps))
        importing.result()
