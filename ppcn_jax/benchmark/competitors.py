"""One network in one library after another, each fed as it likes best.

A competitor's image is in memory, in its own layout, before time is taken, and its result stays in
that layout: the arrays `[H, W, 3]` that they return are views.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ppcn_jax.benchmark.pytorch.networks import to_torch
from ppcn_jax.export.contract import INPUT, OUTPUT
from ppcn_jax.export.onnx import to_onnx
from ppcn_jax.inference.enhance import apply_network
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.model import Model

Run = Callable[[], np.ndarray]

JAX = "JAX"


def open_jax(model: Model, image: np.ndarray) -> Run:
    """`apply_network`, as commands and programs run it."""
    params, on_device = jax.device_put((model.params, image))
    return lambda: np.asarray(apply_network(model.module, params, on_device))


def open_onnx(model: Model, image: np.ndarray) -> Run:
    """The file of `ppcn-jax export` in ONNX Runtime, all cores, its other settings its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = core_count()
    session = onnxruntime.InferenceSession(
        to_onnx(model), options, providers=["CPUExecutionProvider"]
    )
    feed = {INPUT: image[None]}
    return lambda: session.run([OUTPUT], feed)[0][0]


def open_torch(
    model: Model, image: np.ndarray, *, channels_last: bool = False, compiled: bool = False
) -> Run:
    """The network of `torch_networks`, eager or by torch.compile, all cores."""
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
    """The network's output, computed by PyTorch in float64 from the same image and parameters.

    Args:
        model: the network.
        image: float32 `[H, W, 3]`.

    Returns:
        float64 `[H, W, 3]`.
    """
    import torch

    images = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64))
    with torch.inference_mode():
        return to_torch(model).double()(images)[0].numpy().transpose(1, 2, 0)


# By the names that configurations and tables use.
COMPETITORS: dict[str, Callable[[Model, np.ndarray], Run]] = {
    "ONNX Runtime": open_onnx,
    "PyTorch": open_torch,
    "PyTorch channels-last": lambda model, image: open_torch(model, image, channels_last=True),
    "PyTorch compiled": lambda model, image: open_torch(model, image, compiled=True),
}


def missing_packages(competitor: str) -> list[str]:
    """Which packages of a competitor are not installed.

    Args:
        competitor: a key of `COMPETITORS`.

    Returns:
        Their names.
    """
    needed = ("onnx", "onnxruntime") if competitor == "ONNX Runtime" else ("torch",)
    return [name for name in needed if not importlib.util.find_spec(name)]
