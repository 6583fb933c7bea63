"""Gather batches of aligned crops with NumPy, one at a time or several in tf.data's threads."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from data.batching.order import Order
from data.batching.source import Cutting, Placing, Source, Window
from data.errors import DataError, import_tensorflow

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset


def gather(source: Source, order: Order, step: int) -> dict[str, np.ndarray]:
    """This process's part of the batch of a step.

    A record that cannot be read goes into the order's quarantine and is replaced by another one.
    Without a quarantine, its `DataError` is raised.

    Returns:
      `input` and `target`, uint8 [N, crop, crop, 3], and `id`, int32 [N].
    """
    crop = source.crop
    assert crop is not None, "a test split has no crops"
    make = cropper(source)

    def cut(position: int, sample: int) -> tuple[np.ndarray, np.ndarray]:
        def anywhere(shape: tuple[int, ...]) -> tuple[slice, slice]:
            top, left = order.corner(position, shape[0], shape[1], crop)
            return slice(top, top + crop), slice(left, left + crop)

        return make(sample, anywhere)

    positions = order.positions(step)
    samples = np.empty(len(positions), np.int32)
    shape = (len(positions), crop, crop, 3)
    inputs, targets = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for i, position in enumerate(positions.tolist()):
        while True:
            samples[i] = sample = order.sample(position)
            try:
                inputs[i], targets[i] = cut(position, sample)
                break
            except DataError as error:
                if order.quarantine is None:
                    raise
                order.quarantine.add(sample, step, error)
    return {"input": inputs, "target": targets, "id": samples}


def cropper(source: Source) -> Callable[[int, Window], tuple[np.ndarray, np.ndarray]]:
    """A function that cuts crops (input, target) of a pair: uint8 [crop, crop, 3].

    It maps the index of a pair, and a window that may lie anywhere in a frame, to the crops; the
    source may decide otherwise, see `Placing`. It raises `DataError` if the pair cannot be read.
    """
    # Checked once and not for each crop, because isinstance is slow with protocols.
    cutting = source if isinstance(source, Cutting) else None
    placing = source if isinstance(source, Placing) else None

    def crop(index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        if placing is not None:
            window = placing.place(index, window)
        if cutting is not None:
            return cutting.cut(index, window)
        photo, target = source[index]
        place = window(target.shape)
        return photo[place], target[place]

    return crop


def gather_in_tensorflow(source: Source, order: Order, start_step: int) -> "Dataset":
    """Batches as `gather` returns them, gathered in parallel, up to one that cannot be gathered.

    Reading from the source must be thread-safe.
    """
    tf = import_tensorflow()

    def attempt(step: np.int64) -> tuple[np.ndarray, ...]:
        try:
            return tuple(gather(source, order, int(step)).values())
        except DataError:  # TensorFlow would print it and raise an error of its own instead
            return np.empty(0, np.uint8), np.empty(0, np.uint8), np.empty(0, np.int32)

    def load(step: "Tensor") -> "dict[str, Tensor]":
        arrays = tf.numpy_function(attempt, [step], (tf.uint8, tf.uint8, tf.int32))
        return dict(zip(("input", "target", "id"), arrays, strict=True))

    steps = tf.data.Dataset.range(start_step, tf.int64.max)
    batches = steps.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.take_while(lambda batch: tf.size(batch["id"]) > 0)
