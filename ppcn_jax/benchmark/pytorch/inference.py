"""One network on one image in PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ppcn_jax.benchmark.pytorch.networks import to_torch
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.model import Model


def open_torch(
    model: Model, image: np.ndarray, *, channels_last: bool = False, compiled: bool = False
) -> Callable[[], np.ndarray]:
    """A function that enhances the image on all cores, eagerly or by torch.compile."""
    import torch

    torch.set_num_threads(core_count())
    module: Any = to_torch(model).eval()
    images = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
    if channels_last:
        module = module.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if compiled:
        module = torch.compile(module)

    def run() -> np.ndarray:
        with torch.inference_mode():
            return module(images)[0].numpy().transpose(1, 2, 0)

    return run


def in_float64(model: Model, image: np.ndarray) -> np.ndarray:
    """A network's output `[H, W, 3]`, computed in float64 from float32 image and parameters."""
    import torch

    images = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64))
    with torch.inference_mode():
        return to_torch(model).double()(images)[0].numpy().transpose(1, 2, 0)
