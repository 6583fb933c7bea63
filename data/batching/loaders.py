"""Endless training batches: tf.data for sources on disk, a NumPy gather for those in RAM."""

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
from data.extras import check_installed, import_tensorflow

_AHEAD = 8  # batches prepared while the consumer works; it keeps about as many in flight


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
) -> Iterator[dict[str, np.ndarray]]:
    """Batches from `start_step` on, without end; the contract is in `data`'s docstring.

    Args:
      source: a training source.
      seed: a non-negative integer that fixes the order and the crops.
      batch_size: samples in a global batch, over all devices of all processes.
      start_step: the step of the first batch.
      process_index: which process this is.
      process_count: how many processes share each batch.
      local_devices: how many devices this process feeds.
      quarantine: where records go that cannot be read any more; without one they raise.

    Returns:
      An iterator over dictionaries of `input`, `target` and `id`. Closing or dropping it ends its
      background work.

    Raises:
      ValueError: if the source is a test split, or the numbers do not fit together.
      DataError: from the iterator, if records cannot be read, and there is no quarantine or too
        many are in it.
    """
    if source.crop is None:
        raise ValueError("a test split is read one whole image at a time; batch the train split")
    if seed < 0 or start_step < 0:
        raise ValueError(f"seed {seed} and start_step {start_step} must not be negative")
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index {process_index} must be in [0, {process_count})")
    devices = process_count * local_devices
    if batch_size < 1 or batch_size % devices:
        raise ValueError(
            f"the batch size {batch_size} cannot be shared by {process_count} processes of "
            f"{local_devices} devices each; make it a multiple of {devices}"
        )
    order = Order(len(source), seed, batch_size, process_index, process_count, quarantine)
    if isinstance(source, OnDisk):
        local_batches = _ahead(_read_tensorflow(source, order, start_step))
    else:
        local_batches = _gather_ahead(source, order, start_step)
    return _stack(local_batches, local_devices)


def sample_names(
    source: Source,
    step: int,
    *,
    seed: int,
    batch_size: int,
    quarantine: Quarantine | None = None,
) -> list[str]:
    """What the samples of a global batch are called, without reading any.

    Args:
      source: a training source.
      step: which batch.
      seed: as of `batches`.
      batch_size: as of `batches`.
      quarantine: as of `batches`.

    Returns:
      Their names in the order of the batch.
    """
    order = Order(len(source), seed, batch_size, quarantine=quarantine)
    return [source.names[sample] for sample in order.samples(order.positions(step))]


def _stack(
    local_batches: Generator[dict[str, np.ndarray]], devices: int
) -> Iterator[dict[str, np.ndarray]]:
    with contextlib.closing(local_batches):
        for batch in local_batches:
            yield {
                name: array.reshape(devices, -1, *array.shape[1:]) for name, array in batch.items()
            }


def _gather_ahead(
    source: Source, order: Order, start_step: int
) -> Generator[dict[str, np.ndarray]]:
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        steps = itertools.count(start_step)
        ahead = collections.deque(
            pool.submit(gather, source, order, step) for step in itertools.islice(steps, _AHEAD)
        )
        for step in steps:
            ahead.append(pool.submit(gather, source, order, step))
            yield ahead.popleft().result()


def _ahead(batches: Generator[dict[str, np.ndarray]]) -> Generator[dict[str, np.ndarray]]:
    with (
        contextlib.closing(batches),
        concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="batches") as pool,
    ):
        # Nothing runs beside the consumer's work on the first: it traces and compiles, in Python.
        yield next(batches)
        ahead = collections.deque(pool.submit(next, batches) for _ in range(_AHEAD))
        while True:
            ahead.append(pool.submit(next, batches))
            yield ahead.popleft().result()


def _read_tensorflow(
    source: OnDisk, order: Order, start_step: int
) -> Generator[dict[str, np.ndarray]]:
    steps = itertools.count(start_step)
    if "tensorflow" not in sys.modules:
        yield from _until_tensorflow_is_imported(source, order, steps)
    tf, step = import_tensorflow(), next(steps)
    while True:
        try:
            for batch in source.dataset(order, step).prefetch(_AHEAD).as_numpy_iterator():
                yield batch
                step += 1
        except tf.errors.OpError:  # in decoding
            pass
        # NumPy finds the record and has it replaced, or raises what is wrong.
        yield gather(source, order, step)
        step += 1


def _until_tensorflow_is_imported(
    source: OnDisk, order: Order, steps: Iterator[int]
) -> Generator[dict[str, np.ndarray]]:
    # That takes seconds, and NumPy gathers the very same batches. Some are laid by first: during
    # the import they come slowly, because it rarely lets go of Python's lock.
    check_installed("tensorflow", "data")
    for step in itertools.islice(steps, 1 + _AHEAD):
        yield gather(source, order, step)
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        importing = pool.submit(import_tensorflow)
        while not importing.done():
            yield gather(source, order, next(steps))
        importing.result()
