"""Graphs compiled by OpenVINO for this processor."""

import functools
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppcn_jax.graphs.graph import Graph
from ppcn_jax.graphs.openvino_model import to_openvino
from ppcn_jax.runtime.machine import core_count


class Compiled:
    """A graph for inputs of certain shapes. Runs take turns if several threads call it.

    Args:
        graph: its outputs are computed in float32.
        inputs: shapes of the inputs by name; those that no output depends on are ignored.
        outputs: names of tensors.
    """

    def __init__(self, graph: Graph, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]):
        # Nothing is stored on disk: reading it back takes as long as compiling.
        self._compiled = _compile(to_openvino(_library(), graph, inputs, outputs))
        self._request = self._compiled.create_infer_request()
        self._inputs = [tensor.any_name for tensor in self._compiled.inputs]
        self._shapes = [tuple(tensor.shape) for tensor in self._compiled.outputs]
        self._lock = threading.Lock()

    def __call__(
        self, feeds: Mapping[str, np.ndarray], places: Sequence[np.ndarray] = ()
    ) -> list[np.ndarray]:
        """Run the graph on float32 arrays by name; further ones are ignored.

        The last results are written to `places`, the others to new arrays.
        """
        tensor = _library().Tensor
        others = self._shapes[: len(self._shapes) - len(places)]
        results = [*(np.empty(shape, np.float32) for shape in others), *places]
        with self._lock:
            for index, name in enumerate(self._inputs):
                # OpenVINO takes no arrays that are read-only, such as JAX's.
                array = np.require(feeds[name], np.float32, ["C", "W"])
                self._request.set_input_tensor(index, tensor(array, shared_memory=True))
            for index, result in enumerate(results):
                self._request.set_output_tensor(index, tensor(result, shared_memory=True))
            self._request.infer()
        return results

    def release(self) -> None:
        """Free the memory of intermediate results until the next run, unless one is going on."""
        if self._lock.acquire(blocking=False):
            try:
                self._compiled.release_memory()
            finally:
                self._lock.release()


def open_file(content: bytes, shape: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Open an ONNX file with one input of a certain shape, as a function of float32 arrays.

    The function returns an array that the next call writes over.
    """
    model = _core().read_model(content)
    model.reshape(list(shape))
    request = _compile(model).create_infer_request()
    return lambda images: request.infer({0: images}, share_inputs=True, share_outputs=True)[0]


@functools.cache
def _library() -> Any:
    """OpenVINO without its reports to its makers: importing it would fork this process to send one."""
    reports = "openvino_telemetry"
    hidden = reports not in sys.modules
    if hidden:
        sys.modules[reports] = None  # type: ignore[assignment]  # Python then says: not installed
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules[reports]
    return openvino


@functools.cache
def _core() -> Any:
    return _library().Core()


def _compile(model: Any) -> Any:
    settings = {
        # Otherwise it rounds to bfloat16 on processors that have it.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": core_count(),
    }
    return _core().compile_model(model, "CPU", settings)
