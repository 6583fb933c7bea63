"""Graphs as models of OpenVINO, in the forms that are fast there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppcn_jax.graphs.graph import Graph, Node

# The axes of N, C, H and W in `[N, C, H, W]` and in `[N, H, W, C]`.
_FIRST, _LAST = [0, 1, 2, 3], [0, 3, 1, 2]
# Numbers in a register of AVX2, which a convolution fills with channels.
_LANES = 8
# Modes of ONNX's DepthToSpace by OpenVINO's names.
_TO_SPACE = {"CRD": "depth_first", "DCR": "blocks_first"}


def to_openvino(
    library: Any, graph: Graph, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]
) -> Any:
    """Build an `openvino.Model` with what the outputs depend on; its inputs keep their names.

    Images and given results are `[N, H, W, C]`, the order inside of convolutions. As far as operators
    allow, tensors stay in it, or OpenVINO would reorder what goes in and again what comes out.

    Args:
        library: the package `openvino`.
        graph: in which a Transpose makes images `[N, C, H, W]`.
        inputs: shapes of the inputs by name; those that no output depends on are ignored.
        outputs: names of tensors.
    """
    ops = library.opset13
    nodes = graph.needed_for(outputs)
    needed = {*outputs}.union(*(node.inputs for node in nodes))
    tensors: dict[str, Any] = {}
    last: dict[str, Any] = {}  # the same tensors as `[N, H, W, C]`
    parameters = []
    for name, shape in inputs.items():
        if name in needed:
            parameters.append(ops.parameter(shape, np.float32, name=name))
            parameters[-1].output(0).tensor.names = {name}
            tensors[name] = parameters[-1]
    for name, array in graph.constants.items():
        if name in needed:
            tensors[name] = ops.constant(array)
    for node in nodes:
        arguments = [tensors[name] for name in node.inputs]
        result = _channels_last(ops, node, arguments, [last.get(name) for name in node.inputs])
        if result is not None:
            last[node.output] = result
            tensors[node.output] = ops.transpose(result, np.array(_LAST))
        elif node.kind in _IN_ANY_ORDER:
            tensors[node.output] = _IN_ANY_ORDER[node.kind](ops, node, arguments, _FIRST)
        else:
            tensors[node.output] = _CHANNELS_FIRST[node.kind](ops, node, arguments)
    results = [ops.result(tensors[name]) for name in outputs]
    return library.Model(results, parameters, "ppcn-jax")


def _channels_last(ops: Any, node: Node, inputs: list[Any], last: list[Any]) -> Any | None:
    """The result of a node as `[N, H, W, C]`, if it can be had without a change of order.

    Args:
        ops: OpenVINO's operators.
        node: the node.
        inputs: of the node.
        last: the same as `[N, H, W, C]`, or None.
    """
    if node.kind == "Transpose" and node.attributes["perm"] == _LAST:
        return inputs[0]
    if node.kind == "Conv":
        return _columns_together(ops, node, inputs)
    if node.kind not in _IN_ANY_ORDER or all(x is None for x in last):
        return None
    if node.kind in _ELEMENTWISE:
        last = [
            _channel_last(ops, x) if in_order is None else in_order
            for x, in_order in zip(inputs, last, strict=True)
        ]
        if any(x is None for x in last):
            return None
    elif node.attributes.get("keepdims") == 0:
        return None
    else:
        last = [last[0], *inputs[1:]]
    return _IN_ANY_ORDER[node.kind](ops, node, last, _LAST)


def _channel_last(ops: Any, x: Any) -> Any | None:
    """Scalars and values per channel, for operators on `[N, H, W, C]`; None for others."""
    shape = list(x.output(0).shape)
    if len(shape) == 4 and shape[2:] == [1, 1]:
        return ops.reshape(x, np.array([1, 1, 1, -1]), False)
    return None if shape else x


def _columns_together(ops: Any, node: Node, inputs: list[Any]) -> Any | None:
    """A convolution with few outputs, `[N, H, W, C]`; None for others.

    OpenVINO fills registers with the outputs of one pixel. To use more of a register, one kernel
    as wide as the kernels of neighboring columns computes these columns' outputs together.
    """
    x, kernel, *bias = inputs
    attributes = node.attributes
    weights = kernel.data
    outputs, channels, height, width = weights.shape
    columns = _LANES // outputs
    if columns < 2 or width == 1 or "pads" not in attributes:
        return None
    if attributes["strides"] != [1, 1] or attributes["dilations"] != [1, 1]:
        return None
    wide = np.zeros((columns, outputs, channels, height, width + columns - 1), np.float32)
    for column in range(columns):
        wide[column, :, :, :, column : column + width] = weights
    wide = wide.reshape(-1, *wide.shape[2:])
    size = x.output(0).shape[3]
    groups = -(-size // columns)
    top, left, bottom, right = attributes["pads"]
    right += groups * columns - size
    y = ops.convolution(x, wide, [1, columns], [top, left], [bottom, right], [1, 1])
    if bias:
        y = ops.add(y, np.tile(bias[0].data, columns).reshape(1, -1, 1, 1))
    y = ops.transpose(y, np.argsort(_LAST))  # [N, H, groups, columns * outputs]
    y = ops.reshape(y, np.array([0, 0, groups * columns, outputs]), True)
    if groups * columns == size:
        return y
    return ops.slice(y, *(np.array([end]) for end in (0, size, 1, 2)))


def _same(name: str) -> Callable[[Any, Node, list[Any], list[int]], Any]:
    return lambda ops, node, inputs, axes: getattr(ops, name)(*inputs)


def _leaky_relu(ops: Any, node: Node, inputs: list[Any], axes: list[int]) -> Any:
    return ops.prelu(*inputs, np.array([node.attributes["alpha"]], np.float32))


def _tanh(ops: Any, node: Node, inputs: list[Any], axes: list[int]) -> Any:
    # OpenVINO's own takes five times as long. Where the exponential is infinite, this is 1.
    one, two = np.float32(1), np.float32(2)
    exponential = ops.exp(ops.multiply(*inputs, two))
    return ops.subtract(one, ops.divide(two, ops.add(exponential, one)))


def _clip(ops: Any, node: Node, inputs: list[Any], axes: list[int]) -> Any:
    x, least, most = inputs
    return ops.clamp(x, least.data.item(), most.data.item())


def _pad(ops: Any, node: Node, inputs: list[Any], axes: list[int]) -> Any:
    x, pads = inputs
    before, after = (side[np.argsort(axes)] for side in np.split(pads.data, 2))
    return ops.pad(x, before, after, node.attributes["mode"])


def _slice(ops: Any, node: Node, inputs: list[Any], axes: list[int]) -> Any:
    x, first, last, sliced = inputs
    sliced = np.array([axes[axis] for axis in sliced.data])
    return ops.slice(x, first, last, np.ones(sliced.shape, np.int64), sliced)


def _reduce(name: str) -> Callable[[Any, Node, list[Any], list[int]], Any]:
    def reduce(ops: Any, node: Node, inputs: list[Any], axes: list[int]) -> Any:
        x, reduced = inputs
        reduced = np.array([axes[axis] for axis in reduced.data])
        return getattr(ops, name)(x, reduced, bool(node.attributes["keepdims"]))

    return reduce


def _average(ops: Any, node: Node, inputs: list[Any]) -> Any:
    sides, strides = node.attributes["kernel_shape"], node.attributes["strides"]
    return ops.avg_pool(*inputs, strides, [0, 0], [0, 0], sides, exclude_pad=True)


def _convolution(ops: Any, node: Node, inputs: list[Any]) -> Any:
    x, kernel, *bias = inputs
    attributes = node.attributes
    pads = attributes.get("pads", [0, 0, 0, 0])
    padding = attributes.get("auto_pad", "EXPLICIT")
    # The sum of convolutions, which OpenVINO adds up in place, instead of what is concatenated.
    parts = x.input_values() if x.get_type_name() == "Concat" else x.outputs()
    ends = np.cumsum([part.shape[1] for part in parts])
    y = None
    for part, weights in zip(parts, np.split(kernel.data, ends[:-1], axis=1), strict=True):
        term = ops.convolution(
            part,
            weights,
            attributes["strides"],
            pads[:2],
            pads[2:],
            attributes["dilations"],
            padding,
        )
        if bias and y is None:
            term = ops.add(term, ops.reshape(bias[0], np.array([1, -1, 1, 1]), False))
        y = term if y is None else ops.add(y, term)
    return y


def _shape(ops: Any, node: Node, inputs: list[Any]) -> Any:
    first, last = ([node.attributes[side]] for side in ("start", "end"))
    return ops.slice(ops.shape_of(inputs[0]), first, last, [1])


def _to_space(ops: Any, node: Node, inputs: list[Any]) -> Any:
    mode = _TO_SPACE[node.attributes["mode"]]
    return ops.depth_to_space(*inputs, mode, node.attributes["blocksize"])


_ELEMENTWISE: Mapping[str, Callable[[Any, Node, list[Any], list[int]], Any]] = {
    "Add": _same("add"),
    "Div": _same("divide"),
    "LeakyRelu": _leaky_relu,
    "Mul": _same("multiply"),
    "Relu": _same("relu"),
    "Sqrt": _same("sqrt"),
    "Sub": _same("subtract"),
    "Tanh": _tanh,
}
_IN_ANY_ORDER = {
    **_ELEMENTWISE,
    "Clip": _clip,
    "Pad": _pad,
    "ReduceMean": _reduce("reduce_mean"),
    "ReduceSum": _reduce("reduce_sum"),
    "Slice": _slice,
}
_CHANNELS_FIRST: Mapping[str, Callable[[Any, Node, list[Any]], Any]] = {
    "AveragePool": _average,
    "Concat": lambda ops, node, inputs: ops.concat(inputs, node.attributes["axis"]),
    "Conv": _convolution,
    "DepthToSpace": _to_space,
    "Reshape": lambda ops, node, inputs: ops.reshape(*inputs, True),
    "Shape": _shape,
    "Squeeze": lambda ops, node, inputs: ops.squeeze(*inputs),
    "Transpose": lambda ops, node, inputs: ops.transpose(
        *inputs, np.array(node.attributes["perm"])
    ),
}
