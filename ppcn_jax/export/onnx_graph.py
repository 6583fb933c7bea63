"""An ONNX graph in the making, in the words of `models/layers.py`.

Inside, images are `[N, C, H, W]`, which ONNX's operators ask for. Nothing depends on the sizes of
the images, so that files take every size.
"""

from typing import Any

import numpy as np

from ppcn_jax.models.layers import Params

# 18 is the first whose ReduceMean takes its axes as an input; runtimes of 2023 and later know it.
OPSET, IR_VERSION = 18, 8


class Graph:
    """Nodes and constants of a network, which refer to each other by name.

    Attributes:
        params: of the network; its layers are told by their names in there.
        nodes: `onnx.NodeProto`, in the order of execution.
        constants: `onnx.TensorProto`.
    """

    def __init__(self, params: Params):
        self.params = params
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node.

        Args:
            kind: the operator.
            inputs: names of tensors.
            output: name of its result; by default one of its own.
            attributes: of the operator.

        Returns:
            The name of its result.
        """
        from onnx import helper

        output = output or f"{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def constant(self, value: np.typing.ArrayLike, name: str | None = None) -> str:
        """Add a constant.

        Args:
            value: an array; Python floats become float32.
            name: by default one of its own.

        Returns:
            Its name.
        """
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
        """A `Conv` of the network.

        Args:
            x: its input.
            layer: its name.
            stride: of both directions.
            dilation: of both directions.
            before_norm: the instance norm behind takes the bias out, so it is left away.

        Returns:
            The name of its result.
        """
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
        """A convolution with a zero border that keeps the size (divided by the stride).

        Args:
            x: its input.
            kernel: `[height, width, inputs, outputs]`.
            bias: `[outputs]`, or None.
            layer: what the constants are called.
            stride: of both directions.
            dilation: of both directions.

        Returns:
            The name of its result.
        """
        inputs = [x, self.constant(kernel.transpose(3, 2, 0, 1), f"{layer}/kernel")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{layer}/bias"))
        sides = kernel.shape[:2]
        if stride == 1:
            before = [dilation * (side - 1) // 2 for side in sides]
            after = [dilation * (side - 1) - top for side, top in zip(sides, before, strict=True)]
            border: dict[str, Any] = {"pads": before + after}
        else:  # the one way to say a border that depends on the size
            border = {"auto_pad": "SAME_UPPER"}
        return self.op(
            "Conv",
            *inputs,
            kernel_shape=list(sides),
            strides=[stride, stride],
            dilations=[dilation, dilation],
            **border,
        )

    def instance_norm(self, x: str, layer: str) -> str:
        """An `InstanceNorm` of the network.

        Args:
            x: its input.
            layer: its name.

        Returns:
            The name of its result.
        """
        scale, shift = (
            self.constant(self.params[layer][kind].reshape(1, -1, 1, 1), f"{layer}/{kind}")
            for kind in ("scale", "shift")
        )
        # Not InstanceNormalization: ONNX Runtime sums the squares in one stage, which is 1e-4 off
        # for a photo of 1280x720.
        centered = self.op("Sub", x, self.spatial_mean(x))
        variance = self.spatial_mean(self.op("Mul", centered, centered))
        deviation = self.op("Sqrt", self.op("Add", variance, self.constant(1e-3)))
        return self.op("Add", self.op("Mul", centered, self.op("Div", scale, deviation)), shift)

    def spatial_mean(self, x: str) -> str:
        """Mean over height and width, in two stages as `layers.spatial_mean`.

        Args:
            x: `[N, C, H, W]`.

        Returns:
            The name of `[N, C, 1, 1]`.
        """
        rows = self.op("ReduceMean", x, self.constant(np.array([3])), keepdims=1)
        return self.op("ReduceMean", rows, self.constant(np.array([2])), keepdims=1)
