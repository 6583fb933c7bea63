"""Gather one batch of aligned crops with NumPy."""

import numpy as np

from data.order import Order
from data.protocols import Source


def gather(source: Source, order: Order, step: int) -> dict[str, np.ndarray]:
    """This process's part of the batch of a step.

    Args:
      source: a training source.
      order: the order over its samples.
      step: which batch.

    Returns:
      `input` and `target`, uint8 [N, crop, crop, 3], and `id`, int32 [N].
    """
    crop = source.crop
    positions = order.positions(step)
    samples = order.samples(positions)
    shape = (len(positions), crop, crop, 3)
    inputs, targets = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for i, (position, sample) in enumerate(zip(positions, samples, strict=True)):
        photo, target = source[int(sample)]
        height, width, _ = photo.shape
        top, left = order.corner(position, height, width, crop)
        window = np.s_[top : top + crop, left : left + crop]
        inputs[i], targets[i] = photo[window], target[window]
    return {"input": inputs, "target": targets, "id": samples}
