"""A builder for graphs of ONNX's operators, whose methods correspond to `models/layers.py`.

Inside the graph, images are `[N, C, H, W]`, as these operators require. Nothing depends on the
image size, so that a file accepts any size.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ppcn_jax.models.definitions import Params

# Operators are those of this version. From it on, ReduceMean takes its axes as an input.
OPSET = 18


class Node(NamedTuple):
    """An operator, the names of its inputs and of its output, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class Graph:
    """Nodes and constants of a network, which refer to each other by name.

    Tensors are passed as names: the methods take the names of inputs and return the name of the
    result. `layer` is the name of a layer in `params`.

    Attributes:
        params: parameters of the network.
        border: pixels by which the network continues images on each side; 0 for zeros.
        margin: columns on each side of a part of an image that the output leaves out, if the
            network gets one that is already continued.
        statistics: tensors that hold the mean and variance of statistics which are not computed in
            the graph, `[1, C, 1, 1]` each, by the name of the `Statistics` layer.
        given: tensors that hold results which are not computed in the graph, by the name of the
            layer.
        measured: tensors that statistics are taken of, by the names of the statistics.
        results: of convolutions and sums, by the name of the layer; after the leaky ReLU if one
            follows, which runtimes compute together.
        nodes: in the order of execution.
        constants: arrays by name.
    """

    def __init__(
        self,
        params: Params,
        border: int = 0,
        margin: int = 0,
    ):
        self.params, self.border, self.margin = params, border, margin
        self.statistics: dict[str, tuple[str, str]] = {}
        self.given: dict[str, str] = {}
        self.measured: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node for the operator `kind`; by default its output gets a new name."""
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(Node(kind, inputs, output, attributes))
        return output

    def constant(self, value: np.typing.ArrayLike, name: str | None = None) -> str:
        """Add a constant, float32 if `value` is float64; by default it gets a new name."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = name or f"constant_{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(array) if array.ndim else array
        return name

    def needed_for(self, outputs: Iterable[str], known: Iterable[str] = ()) -> list[Node]:
        """The nodes that some tensors depend on if others are known, in the order of execution."""
        given = set(known)
        needed, nodes = set(outputs) - given, list[Node]()
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(name for name in node.inputs if name not in given)
                nodes.append(node)
        return nodes[::-1]

    def conv(
        self, x: str, layer: str, *, stride: int = 1, dilation: int = 1, before_norm: bool = False
    ) -> str:
        """Add a `Conv` layer; before an instance norm, which cancels the bias, omit the bias."""
        if layer in self.given:
            return self.given[layer]
        kernel, bias = self.params[layer]["kernel"], self.params[layer]["bias"]
        self.results[layer] = self.convolve(
            x, kernel, None if before_norm else bias, layer, stride=stride, dilation=dilation
        )
        return self.results[layer]

    def convolve(
        self,
        x: str,
        kernel: np.ndarray,
        bias: np.ndarray | None,
        layer: str,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> str:
        """Add a convolution with zero padding that keeps the size, divided by the stride.

        The kernel is `[height, width, inputs, outputs]`; `layer` names the constants.
        """
        inputs = [x, self.constant(kernel.transpose(3, 2, 0, 1), f"{layer}/kernel")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{layer}/bias"))
        sides = kernel.shape[:2]
        if stride == 1:
            before = [dilation * (side - 1) // 2 for side in sides]
            after = [dilation * (side - 1) - top for side, top in zip(sides, before, strict=True)]
            padding: dict[str, Any] = {"pads": before + after}
        else:  # the only way to express padding that depends on the image size
            padding = {"auto_pad": "SAME_UPPER"}
        return self.op(
            "Conv",
            *inputs,
            kernel_shape=list(sides),
            strides=[stride, stride],
            dilations=[dilation, dilation],
            **padding,
        )

    def leaky_relu(self, x: str, slope: float) -> str:
        """Add a leaky ReLU."""
        if x in self.given.values():
            return x
        y = self.op("LeakyRelu", x, alpha=slope)
        for layer, result in self.results.items():
            if result == x:
                self.results[layer] = y
        return y

    def sum(self, x: str, y: str, layer: str) -> str:
        """Add a `Sum` layer."""
        if layer in self.given:
            return self.given[layer]
        self.results[layer] = self.op("Add", x, y)
        return self.results[layer]

    def reflection(self, x: str) -> str:
        """Add a `Reflection` layer; nothing if there is no border."""
        if not self.border:
            return x
        pads = self.constant(np.tile([0, 0, self.border, self.border], 2))
        return self.op("Pad", x, pads, mode="reflect")

    def inside(self, x: str) -> str:
        """Add a crop to what lies inside the border, or between the margins of a part."""
        if self.border:
            first, last, axes = [self.border] * 2, [-self.border] * 2, [2, 3]
        elif self.margin:
            return self._columns(x, self.margin, -self.margin)
        else:
            return x
        return self.op("Slice", x, *(self.constant(np.array(ends)) for ends in (first, last, axes)))

    def instance_norm(self, x: str, layer: str) -> str:
        """Add an `InstanceNorm` layer."""
        scale, shift = (
            self.constant(self.params[layer][kind].reshape(1, -1, 1, 1), f"{layer}/{kind}")
            for kind in ("scale", "shift")
        )
        self.measured[f"{layer}/statistics"] = x
        if f"{layer}/statistics" in self.statistics:
            mean, variance = self.statistics[f"{layer}/statistics"]
            gain = self.op("Div", scale, self._deviation(variance))
            # Two operators per pixel, which runtimes fold into the convolution before them.
            offset = self.op("Sub", shift, self.op("Mul", mean, gain))
            return self.op("Add", self.op("Mul", x, gain), offset)
        # Not InstanceNormalization: ONNX Runtime sums its squares in one stage, with an error of
        # 1e-4 for a photo of 1280x720.
        inside = self.inside(x)
        mean = self.spatial_mean(inside)
        centered = deviations = self.op("Sub", inside, mean)
        if self.border:
            centered = self.op("Sub", x, mean)
        variance = self.spatial_mean(self.op("Mul", deviations, deviations))
        gain = self.op("Div", scale, self._deviation(variance))
        return self.op("Add", self.op("Mul", centered, gain), shift)

    def _deviation(self, variance: str) -> str:
        return self.op("Sqrt", self.op("Add", variance, self.constant(1e-3)))

    def image_mean(self, x: str, name: str) -> str:
        """Add the mean of a `Statistics` layer, of what lies inside the border."""
        self.measured[name] = x
        if name in self.statistics:
            return self.statistics[name][0]
        return self.spatial_mean(self.inside(x))

    def row_moments(self, x: str, border: int, width: int | None = None) -> tuple[str, str]:
        """Add mean and variance over the columns inside a border, `[N, C, H, 1]` each.

        With the width of `x`, its inside is not copied: the border's part is taken off the means.
        """
        columns = self.constant(np.array([3]))
        if border and width is None:
            x, border = self._columns(x, border, -border), 0

        def mean(values: str) -> str:
            means = self.op("ReduceMean", values, columns, keepdims=1)
            if not border or width is None:
                return means
            ends = ((0, border), (width - border, width))
            edges = self.op("Concat", *(self._columns(values, *end) for end in ends), axis=3)
            part = self.op("ReduceMean", edges, columns, keepdims=1)
            inside = width - 2 * border
            means = self.op("Mul", means, self.constant(width / inside))
            return self.op("Sub", means, self.op("Mul", part, self.constant(2 * border / inside)))

        means = mean(x)
        deviations = self.op("Sub", x, means)
        return means, mean(self.op("Mul", deviations, deviations))

    def _columns(self, x: str, first: int, last: int) -> str:
        return self.op("Slice", x, *(self.constant(np.array([end])) for end in (first, last, 3)))

    def spatial_mean(self, x: str) -> str:
        """Add a mean over height and width, in two stages like `layers.spatial_mean`."""
        # The stages differ in `keepdims`, or OpenVINO would make one of them, whose sum of a whole
        # photo in float32 has an error of 1e-4 and more.
        rows = self.op("ReduceMean", x, self.constant(np.array([3])), keepdims=0)
        mean = self.op("ReduceMean", rows, self.constant(np.array([2])), keepdims=1)
        return self.op("Reshape", mean, self.constant(np.array([0, 0, 1, 1])))
