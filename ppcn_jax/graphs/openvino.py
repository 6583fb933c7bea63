"""Graphs compiled by OpenVINO for this processor."""

import functools
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppcn_jax.graphs.graph import Graph, Node
from ppcn_jax.runtime.machine import core_count

# Modes of ONNX's DepthToSpace by OpenVINO's names.
_TO_SPACE = {"CRD": "depth_first", "DCR": "blocks_first"}

# The permutation from `[N, H, W, C]` to `[N, C, H, W]`.
_CHANNELS_FIRST = [0, 3, 1, 2]
# Operators that compute each value of a tensor on its own.
_ELEMENTWISE = {"Add", "LeakyRelu", "Mul", "Sub"}


class Compiled:
    """A graph for inputs of certain shapes. Runs take turns if several threads call it.

    Args:
        graph: its outputs are computed in float32.
        inputs: shapes of the inputs by name; those that no output depends on are ignored.
        outputs: names of tensors.
    """

    def __init__(self, graph: Graph, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]):
        # Nothing is stored on disk: reading it back takes as long as compiling.
        self._compiled = _compile(to_openvino(graph, inputs, outputs))
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


def to_openvino(graph: Graph, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]) -> Any:
    """Build an `openvino.Model` with what the outputs depend on; its inputs keep their names."""
    openvino = _library()
    from openvino import opset13

    nodes = graph.needed_for(outputs)
    needed = {*outputs}.union(*(node.inputs for node in nodes))
    tensors: dict[str, Any] = {}
    # The same tensors as `[N, H, W, C]`, the order of inputs and inside of convolutions. Operators
    # on inputs stay in it, or OpenVINO would reorder what goes in and again what comes out.
    channels_last: dict[str, Any] = {}
    parameters = []
    for name, shape in inputs.items():
        if name in needed:
            parameters.append(opset13.parameter(shape, np.float32, name=name))
            parameters[-1].output(0).tensor.names = {name}
            tensors[name] = parameters[-1]
    for name, array in graph.constants.items():
        if name in needed:
            tensors[name] = opset13.constant(array)
    for node in nodes:
        translate = _OPERATORS.get(node.kind) or functools.partial(_plain, node.kind)
        arguments = [tensors[name] for name in node.inputs]
        tensors[node.output] = translate(opset13, node, arguments)
        if node.kind == "Transpose" and node.attributes["perm"] == _CHANNELS_FIRST:
            channels_last[node.output] = arguments[0]
        elif node.kind in _ELEMENTWISE and not channels_last.keys().isdisjoint(node.inputs):
            last = [
                channels_last.get(name) or _channel_last(opset13, argument)
                for name, argument in zip(node.inputs, arguments, strict=True)
            ]
            if None not in last:
                result = channels_last[node.output] = translate(opset13, node, last)
                tensors[node.output] = opset13.transpose(result, np.array(_CHANNELS_FIRST))
    results = [opset13.result(tensors[name]) for name in outputs]
    return openvino.Model(results, parameters, "ppcn-jax")


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


def _channel_last(ops: Any, x: Any) -> Any | None:
    """Scalars and values per channel, for operators on `[N, H, W, C]`; None for others."""
    shape = list(x.output(0).shape)
    if len(shape) == 4 and shape[2:] == [1, 1]:
        return ops.reshape(x, np.array([1, 1, 1, -1]), False)
    return None if shape else x


def _plain(kind: str, ops: Any, node: Node, inputs: list[Any]) -> Any:
    return getattr(ops, _SAME[kind])(*inputs)


def _convolution(ops: Any, node: Node, inputs: list[Any]) -> Any:
    x, kernel, *bias = inputs
    attributes = node.attributes
    pads = attributes.get("pads", [0, 0, 0, 0])
    padding = attributes.get("auto_pad", "EXPLICIT")
    strides, dilations = attributes["strides"], attributes["dilations"]
    y = ops.convolution(x, kernel, strides, pads[:2], pads[2:], dilations, padding)
    if not bias:
        return y
    return ops.add(y, ops.reshape(bias[0], np.array([1, -1, 1, 1]), False))


def _clip(ops: Any, node: Node, inputs: list[Any]) -> Any:
    x, least, most = inputs
    return ops.clamp(x, least.data.item(), most.data.item())


def _pad(ops: Any, node: Node, inputs: list[Any]) -> Any:
    x, pads = inputs
    before, after = np.split(pads.data, 2)
    return ops.pad(x, before, after, node.attributes["mode"])


def _slice(ops: Any, node: Node, inputs: list[Any]) -> Any:
    x, first, last, axes = inputs
    return ops.slice(x, first, last, np.ones(axes.shape, np.int64), axes)


def _shape(ops: Any, node: Node, inputs: list[Any]) -> Any:
    first, last = ([node.attributes[side]] for side in ("start", "end"))
    return ops.slice(ops.shape_of(inputs[0]), first, last, [1])


def _mean(ops: Any, node: Node, inputs: list[Any]) -> Any:
    return ops.reduce_mean(*inputs, bool(node.attributes["keepdims"]))


def _to_space(ops: Any, node: Node, inputs: list[Any]) -> Any:
    mode = _TO_SPACE[node.attributes["mode"]]
    return ops.depth_to_space(*inputs, mode, node.attributes["blocksize"])


_SAME = {
    "Add": "add",
    "Div": "divide",
    "Mul": "multiply",
    "Relu": "relu",
    "Sqrt": "sqrt",
    "Squeeze": "squeeze",
    "Sub": "subtract",
    "Tanh": "tanh",
}
_OPERATORS: Mapping[str, Callable[[Any, Node, list[Any]], Any]] = {
    "Clip": _clip,
    "Concat": lambda ops, node, inputs: ops.concat(inputs, node.attributes["axis"]),
    "Conv": _convolution,
    "DepthToSpace": _to_space,
    "LeakyRelu": lambda ops, node, inputs: ops.prelu(
        *inputs, np.array([node.attributes["alpha"]], np.float32)
    ),
    "Pad": _pad,
    "ReduceMean": _mean,
    "Reshape": lambda ops, node, inputs: ops.reshape(*inputs, True),
    "Shape": _shape,
    "Slice": _slice,
    "Transpose": lambda ops, node, inputs: ops.transpose(
        *inputs, np.array(node.attributes["perm"])
    ),
}
