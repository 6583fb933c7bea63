"""Gather one batch of aligned crops with NumPy, or many of them in tf.data's threads."""

from typing import TYPE_CHECKING

import numpy as np

from data.batching.order import Order
from data.batching.source import Degrading, Source
from data.errors import DataError
from data.extras import import_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf


def gather(source: Source, order: Order, step: int) -> dict[str, np.ndarray]:
    """This process's part of the batch of a step.

    Args:
      source: a training source.
      order: the order over its samples.
      step: which batch.

    Returns:
      `input` and `target`, uint8 [N, crop, crop, 3], and `id`, int32 [N].

    Raises:
      DataError: for a record that cannot be read, if the order has no quarantine for it.
    """
    cut = _cut_and_degrade if isinstance(source, Degrading) else _cut
    positions = order.positions(step)
    samples = np.empty(len(positions), np.int32)
    shape = (len(positions), source.crop, source.crop, 3)
    inputs, targets = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for i, position in enumerate(positions):
        found = None
        while found is None:
            samples[i] = sample = order.sample(int(position))
            try:
                found = cut(source, order, position, sample)
            except DataError as error:
                if order.quarantine is None:
                    raise
                order.quarantine.add(sample, step, error)
        inputs[i], targets[i] = found
    return {"input": inputs, "target": targets, "id": samples}


def gather_in_tensorflow(source: Source, order: Order, start_step: int) -> "tf.data.Dataset":
    """Batches, gathered several at a time, up to one that cannot be gathered.

    Args:
      source: a training source whose `__getitem__` is thread-safe.
      order: the order over its samples.
      start_step: the step of the first batch.

    Returns:
      Dictionaries as `gather` returns.
    """
    tf = import_tensorflow()

    def attempt(step):
        try:
            return tuple(gather(source, order, int(step)).values())
        except DataError:  # TensorFlow would print it, and hide it in an error of its own
            return np.empty(0, np.uint8), np.empty(0, np.uint8), np.empty(0, np.int32)

    def load(step):
        arrays = tf.numpy_function(attempt, [step], (tf.uint8, tf.uint8, tf.int32))
        return dict(zip(("input", "target", "id"), arrays, strict=True))

    steps = tf.data.Dataset.range(start_step, tf.int64.max)
    batches = steps.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.take_while(lambda batch: tf.size(batch["id"]) > 0)


def _cut(source: Source, order: Order, position: int, sample: int) -> tuple[np.ndarray, np.ndarray]:
    photo, target = source[sample]
    window = _window(order, position, photo, source.crop)
    return photo[window], target[window]


def _cut_and_degrade(
    source: Degrading, order: Order, position: int, sample: int
) -> tuple[np.ndarray, np.ndarray]:
    photo = source.target(sample)
    crop = photo[_window(order, position, photo, source.crop)]
    return source.degrade(crop), crop


def _window(order: Order, position: int, photo: np.ndarray, crop: int) -> tuple[slice, slice]:
    height, width, _ = photo.shape
    top, left = order.corner(position, height, width, crop)
    return np.s_[top : top + crop, left : left + crop]
