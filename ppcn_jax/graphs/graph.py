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
# In images of at least so many columns, means skip the border without a copy of what lies inside.
_WIDE = 512


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
        size: rows and columns of images, with the border or the margins; 0 for a graph of any size.
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
        size: tuple[int, int] = (0, 0),
    ):
        self.params, self.border, self.margin, self.size = params, border, margin, size
        self.statistics: dict[str, tuple[str, str]] = {}
        self.given: dict[str, str] = {}
        self.measured: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self._inside: dict[str, str] = {}  # images by what continues them

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
        continued = self.op("Pad", x, pads, mode="reflect")
        self._inside[continued] = x
        return continued

    def inside(self, x: str) -> str:
        """Add a crop to what lies inside the border, or between the margins of a part."""
        if x in self._inside:
            return self._inside[x]
        if self.border:
            return self._crop(x, self.border)
        return self._slice(x, self.margin, -self.margin, 3) if self.margin else x

    def instance_norm(self, x: str, layer: str) -> str:
        """Add an `InstanceNorm` layer."""
        scale, shift = (
            self.constant(self.params[layer][kind].reshape(1, -1, 1, 1), f"{layer}/{kind}")
            for kind in ("scale", "shift")
        )
        name = f"{layer}/statistics"
        self.measured[name] = x
        mean, variance = self.statistics.get(name) or self._moments(x)
        gain = self.op("Div", scale, self._deviation(variance))
        if any(self.size):
            # Not the operator in `_moments`, or OpenVINO would store its result for both.
            gain = self.op("Mul", gain, self.constant(-1.0))
            return self.op("Add", self.op("Mul", self.op("Sub", mean, x), gain), shift)
        if name in self.statistics:
            # Two operators per pixel, which runtimes fold into the convolution before them.
            offset = self.op("Sub", shift, self.op("Mul", mean, gain))
            return self.op("Add", self.op("Mul", x, gain), offset)
        return self.op("Add", self.op("Mul", self.op("Sub", x, mean), gain), shift)

    def _moments(self, x: str) -> tuple[str, str]:
        """Add mean and variance of what lies inside the border, `[N, C, 1, 1]` each."""
        # Not InstanceNormalization: ONNX Runtime sums its squares in one stage, with an error of
        # 1e-4 for a photo of 1280x720.
        x, border = (x, self.border) if self._is_wide(self.border) else (self.inside(x), 0)
        mean = self.spatial_mean(x, border)
        deviations = self.op("Sub", x, mean)
        return mean, self.spatial_mean(self.op("Mul", deviations, deviations), border)

    def _deviation(self, variance: str) -> str:
        return self.op("Sqrt", self.op("Add", variance, self.constant(1e-3)))

    def image_mean(self, x: str, name: str) -> str:
        """Add the mean of a `Statistics` layer, of what lies inside the border."""
        self.measured[name] = x
        if name in self.statistics:
            return self.statistics[name][0]
        # Over rows first, which is faster in OpenVINO for three channels. The Reshape keeps it from
        # making one sum of both means, as the different `keepdims` in `spatial_mean` do.
        columns = self.op("ReduceMean", self.inside(x), self.constant(np.array([2])), keepdims=1)
        columns = self.op("Reshape", columns, self.constant(np.array([0, 0, -1, 1])))
        return self.op("ReduceMean", columns, self.constant(np.array([2])), keepdims=1)

    def row_moments(self, x: str, border: int) -> tuple[str, str]:
        """Add mean and variance over the columns inside a border, `[N, C, H, 1]` each."""
        if border and not any(self.size):
            x, border = self._slice(x, border, -border, 3), 0
        means = self._row_means(x, border)
        deviations = self.op("Sub", x, means)
        return means, self._row_means(self.op("Mul", deviations, deviations), border)

    def row_mean(self, x: str, border: int) -> str:
        """Add the mean over the columns inside a border, which are copied, `[N, C, H, 1]`."""
        inside = self._slice(x, border, -border, 3) if border else x
        return self.op("ReduceMean", inside, self.constant(np.array([3])), keepdims=1)

    def spatial_mean(self, x: str, border: int = 0) -> str:
        """Add a mean over what lies inside a border, in two stages like `layers.spatial_mean`."""
        if border and not any(side % border for side in self.size):
            # Tiles as large as the border are averaged faster than groups of columns.
            sides = [border, border]
            means = self.op("AveragePool", x, kernel_shape=sides, strides=sides)
            x, border = self._crop(means, 1), 0
        height = self.constant(np.array([2]))
        if border:
            rows = self._slice(self._row_means(x, border), border, -border, 2)
            return self.op("ReduceMean", rows, height, keepdims=1)
        # The stages differ in `keepdims`, or OpenVINO would make one of them, whose sum of a whole
        # photo in float32 has an error of 1e-4 and more.
        rows = self.op("ReduceMean", x, self.constant(np.array([3])), keepdims=0)
        mean = self.op("ReduceMean", rows, height, keepdims=1)
        return self.op("Reshape", mean, self.constant(np.array([0, 0, 1, 1])))

    def _is_wide(self, border: int) -> bool:
        return self.size[1] - 2 * border >= _WIDE

    def _row_means(self, x: str, border: int) -> str:
        """Add the mean over the columns inside a border, `[N, C, H, 1]`.

        In wide images, a copy of what lies inside would take longer than its mean: groups of columns
        are averaged, then those inside. The border's part of a sum cannot be subtracted, because its
        values may be thousands of times larger: convolutions see zeros beyond them.
        """
        if not border or not self._is_wide(border):
            return self.row_mean(x, border)
        inside = self.size[1] - 2 * border
        groups = inside // border
        means = self.op("AveragePool", x, kernel_shape=[1, border], strides=[1, border])
        means = self._slice(means, 1, 1 + groups, 3)
        if groups * border == inside:
            return self.row_mean(means, 0)
        rest = self._row_sums(self._slice(x, border + groups * border, border + inside, 3))
        sums = self.op("Mul", self._row_sums(means), self.constant(float(border)))
        return self.op("Mul", self.op("Add", sums, rest), self.constant(1 / inside))

    def _row_sums(self, x: str) -> str:
        return self.op("ReduceSum", x, self.constant(np.array([3])), keepdims=1)

    def _crop(self, x: str, border: int) -> str:
        ends = ([border, border], [-border, -border], [2, 3])
        return self.op("Slice", x, *(self.constant(np.array(pair)) for pair in ends))

    def _slice(self, x: str, first: int, last: int, axis: int) -> str:
        return self.op("Slice", x, *(self.constant(np.array([end])) for end in (first, last, axis)))
