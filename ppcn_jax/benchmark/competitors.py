"""One network in several libraries, each given its image in the memory layout it prefers.

Timing starts when a competitor's image is in memory in that layout. Results stay in the library's
layout: the returned arrays `[H, W, 3]` are views.
"""

import contextlib
import importlib
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable, Sequence

import jax
import numpy as np

from ppcn_jax.benchmark.pytorch.inference import open_torch
from ppcn_jax.benchmark.pytorch.ncnn import open_ncnn
from ppcn_jax.benchmark.rows import Row, make_row
from ppcn_jax.export.contract import INPUT, OUTPUT
from ppcn_jax.export.onnx import to_onnx
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.graphs.openvino import open_file
from ppcn_jax.inference.openvino_programs import OpenvinoPrograms
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.runtime.errors import install_hint
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.model import Model

Run = Callable[[], np.ndarray]

JAX = "JAX"


def open_jax(model: Model, image: np.ndarray) -> Run:
    """`apply_network`, as the commands run it in JAX."""
    params, on_device = jax.device_put((model.params, image))
    return lambda: np.asarray(apply_network(model.module, params, on_device))


def open_onnx(model: Model, image: np.ndarray) -> Run:
    """The file of `ppcn-jax export` in ONNX Runtime on all cores, other settings at defaults."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = core_count()
    session = onnxruntime.InferenceSession(
        to_onnx(model), options, providers=["CPUExecutionProvider"]
    )
    feed = {INPUT: image[None]}
    return lambda: session.run([OUTPUT], feed)[0][0]


def open_openvino(model: Model, image: np.ndarray) -> Run:
    """The programs with which the commands run it in OpenVINO."""
    programs = OpenvinoPrograms(model)
    return lambda: programs.whole(image)


def open_openvino_file(model: Model, image: np.ndarray) -> Run:
    """The file of `ppcn-jax export`, opened by OpenVINO for this size."""
    run = open_file(to_onnx(model), (1, *image.shape))
    return lambda: run(image[None])[0]


def open_litert(model: Model, image: np.ndarray) -> Run:
    """The file of `ppcn-jax export` for this size, in LiteRT on all cores, which uses XNNPACK."""
    # PyTorch's builds for CUDA compile by Triton, which crashes (3.8) if it is loaded after
    # TensorFlow (2.21), which writes the file.
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
    height, width = image.shape[:2]
    # Windows does not delete files that are open.
    with tempfile.TemporaryDirectory(
        prefix="ppcn-jax-litert-", ignore_cleanup_errors=True
    ) as folder:
        path = pathlib.Path(folder, "network.tflite")
        path.write_bytes(to_tflite(model, height=height, width=width))
        run = run_tflite(path, threads=core_count())
    return lambda: run(image[None])[0]


# By the names in configurations and tables.
COMPETITORS: dict[str, Callable[[Model, np.ndarray], Run]] = {
    "ONNX Runtime": open_onnx,
    "OpenVINO": open_openvino,
    "OpenVINO file": open_openvino_file,
    "LiteRT": open_litert,
    "ncnn": open_ncnn,
    "PyTorch": open_torch,
    "PyTorch channels-last": lambda model, image: open_torch(model, image, channels_last=True),
    "PyTorch compiled": lambda model, image: open_torch(model, image, compiled=True),
}


def missing_packages(competitor: str) -> list[str]:
    """Packages of a competitor that are not installed."""
    needed = {
        "OpenVINO": ("openvino",),
        "OpenVINO file": ("openvino", "onnx"),
        "ONNX Runtime": ("onnx", "onnxruntime"),
        "LiteRT": ("tensorflow", "ai_edge_litert"),
        "ncnn": ("ncnn", "pnnx", "torch"),
    }.get(competitor, ("torch",))
    return [name for name in needed if not importlib.util.find_spec(name)]


def split_installed(names: Sequence[str]) -> tuple[list[str], list[Row]]:
    """Installed competitors, and a row for each other one that says what to install."""
    missing = {name: ", ".join(missing_packages(name)) for name in names}
    rows = [
        make_row(
            "competitors", name, problem=f"{packages} is not installed: {install_hint('bench')}"
        )
        for name, packages in missing.items()
        if packages
    ]
    return [name for name in names if not missing[name]], rows
