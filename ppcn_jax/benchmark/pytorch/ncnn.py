"""One network on one image in ncnn, converted by pnnx from its counterpart in PyTorch.

pnnx also reads ONNX files, but what it makes of those of `ppcn-jax export` computes other images.
"""

import pathlib
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ppcn_jax.benchmark.pytorch.networks import to_torch
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.model import Model


def open_ncnn(model: Model, image: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that enhances the image on all cores, in float32.

    Raises:
        RuntimeError: pnnx does not convert the network, or ncnn does not run the result.
    """
    import ncnn

    network = ncnn.Net()
    options = network.opt
    options.num_threads = core_count()
    # ncnn rounds to these formats on processors that have them.
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    options.use_bf16_packed = options.use_bf16_storage = False
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-ncnn-") as folder:
        files = _convert(model, image, pathlib.Path(folder))
        if network.load_param(str(files[0])) or network.load_model(str(files[1])):
            raise RuntimeError("ncnn lacks a layer that pnnx writes")
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1))
    # Without the copy, ncnn has no count of references to it, and layers that work in place crash.
    images = ncnn.Mat(pixels).clone()

    def run() -> np.ndarray:
        extractor = network.create_extractor()
        extractor.input("in0", images)
        status, output = extractor.extract("out0")
        if status:
            raise RuntimeError(f"ncnn failed with {status}")
        return np.asarray(output).transpose(1, 2, 0)

    return run


def _convert(model: Model, image: np.ndarray, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ncnn's two files of a network for images of this size."""
    import pnnx
    import torch

    images = torch.zeros((1, 3, *image.shape[:2]))
    network = to_torch(model).eval()
    with torch.inference_mode(), warnings.catch_warnings(), _moments_in_two_stages():
        warnings.simplefilter("ignore")  # traces are what pnnx reads, and PyTorch deprecates them
        traced = torch.jit.trace(network, images, check_trace=False)
    traced.save(str(folder / "network.pt"))
    shape = ",".join(map(str, images.shape))
    files = [folder / f"network.ncnn.{suffix}" for suffix in ("param", "bin")]
    command = [pnnx.EXEC_PATH, "network.pt", f"inputshape=[{shape}]", "fp16=0"]
    run = subprocess.run(command, check=False, cwd=folder, capture_output=True, encoding="utf-8")
    if run.returncode or not all(file.exists() for file in files):
        raise RuntimeError(f"pnnx ended with {run.returncode}: {run.stderr.strip()[-200:]}")
    return files


def _moments_in_two_stages() -> AbstractContextManager[Any]:
    """A mode of PyTorch in which means are taken over rows first, and variances by means.

    ncnn adds up all pixels of a mean in one float32 number, which loses digits: at 1280x720, the
    result of a student was 3e-4 off. It has no `var_mean`.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    def mean(x: Any) -> Any:
        return x.mean(3, keepdim=True).mean(2, keepdim=True)

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function is torch.Tensor.mean:
                return mean(args[0])
            if function is torch.var_mean:
                center = mean(args[0])
                return mean((args[0] - center).square()), center
            return function(*args, **(kwargs or {}))

    return Mode()
