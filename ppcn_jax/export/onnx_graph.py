"""A builder for ONNX graphs whose methods correspond to `models/layers.py`.

Inside the graph, images are `[N, C, H, W]`, as ONNX's operators require. Nothing depends on the
image size, so that a file accepts any size.
"""

from typing import Any

import numpy as np

from ppcn_jax.models.layers import Params

# From opset 18 on, ReduceMean takes its axes as an input; runtimes since 2023 support it.
OPSET, IR_VERSION = 18, 8


class Graph:
    """Nodes and constants of a network, which refer to each other by name.

    Tensors are passed as names: the methods take the names of inputs and return the name of the
    result. `layer` is the name of a layer in `params`.

    Attributes:
        params: parameters of the network.
        border: pixels by which the network continues images on each side; 0 for zeros.
        nodes: `onnx.NodeProto`, in the order of execution.
        constants: `onnx.TensorProto`.
    """

    def __init__(self, params: Params, border: int = 0):
        self.params, self.border = params, border
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node for the operator `kind`; by default its output gets a new name."""
        from onnx import helper

        output = output or f"{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def constant(self, value: np.typing.ArrayLike, name: str | None = None) -> str:
        """Add a constant, float32 if `value` is float64; by default it gets a new name."""
        from onnx import numpy_helper

        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(
        self, x: str, layer: str, *, stride: int = 1, dilation: int = 1, before_norm: bool = False
    ) -> str:
        """Add a `Conv` layer; before an instance norm, which cancels the bias, omit the bias."""
        kernel, bias = self.params[layer]["kernel"], self.params[layer]["bias"]
        return self.convolve(
            x, kernel, None if before_norm else bias, layer, stride=stride, dilation=dilation
        )

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

    def reflection(self, x: str) -> str:
        """Add a `Reflection` layer; nothing if there is no border."""
        if not self.border:
            return x
        pads = self.constant(np.tile([0, 0, self.border, self.border], 2))
        return self.op("Pad", x, pads, mode="reflect")

    def inside(self, x: str) -> str:
        """Add a crop to what lies inside the border."""
        if not self.border:
            return x
        first, last, axes = (
            self.constant(np.array(sides))
            for sides in ([self.border] * 2, [-self.border] * 2, [2, 3])
        )
        return self.op("Slice", x, first, last, axes)

    def instance_norm(self, x: str, layer: str) -> str:
        """Add an `InstanceNorm` layer."""
        scale, shift = (
            self.constant(self.params[layer][kind].reshape(1, -1, 1, 1), f"{layer}/{kind}")
            for kind in ("scale", "shift")
        )
        # Not InstanceNormalization: ONNX Runtime sums its squares in one stage, with an error of
        # 1e-4 for a photo of 1280x720.
        inside = self.inside(x)
        mean = self.spatial_mean(inside)
        centered = deviations = self.op("Sub", inside, mean)
        if self.border:
            centered = self.op("Sub", x, mean)
        variance = self.spatial_mean(self.op("Mul", deviations, deviations))
        deviation = self.op("Sqrt", self.op("Add", variance, self.constant(1e-3)))
        return self.op("Add", self.op("Mul", centered, self.op("Div", scale, deviation)), shift)

    def spatial_mean(self, x: str) -> str:
        """Add a mean over height and width, in two stages like `layers.spatial_mean`."""
        rows = self.op("ReduceMean", x, self.constant(np.array([3])), keepdims=1)
        return self.op("ReduceMean", rows, self.constant(np.array([2])), keepdims=1)
