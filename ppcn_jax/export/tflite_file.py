"""Edit the flatbuffer of a TFLite file where the converter has no option for it."""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ppcn_jax.models.int8 import Grid

# Name of our metadata entry; the converter and other tools add their own.
ENTRY = "ppcn-jax"
_IDENTIFIER = b"TFL3"


class Layer(NamedTuple):
    """A convolution for `quantize_convolutions`.

    Attributes:
        kernel: float32 `[kh, kw, C, F]`.
        kernel_scale: of each output channel, `[F]`.
        input: scale and zero point of its input.
        output: the same of its output.
    """

    kernel: np.ndarray
    kernel_scale: np.ndarray
    input: Grid
    output: Grid


def with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """Add a metadata entry, whose buffer is JSON, to the content of a file."""
    from ai_edge_litert import schema_py_generated as schema

    model = _unpacked(content)
    text = json.dumps(metadata).encode()
    entry = schema.MetadataT(name=ENTRY, buffer=_add_buffer(model, text))
    model.metadata = [*(model.metadata or []), entry]
    model.description = f"{metadata['network']} of ppcn-jax"
    return _packed(model)


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The metadata that `with_metadata` added to a file; empty if there is none."""
    model = _unpacked(pathlib.Path(path).read_bytes())
    for entry in model.metadata or []:
        if entry.name.decode() == ENTRY:
            return json.loads(bytes(model.buffers[entry.buffer].data))
    return {}


def halve_kernels(content: bytes) -> bytes:
    """Convert the convolution kernels in the content of a float32 file to float16.

    Each kernel gets an operator that converts it back to float32; it runs once, or not at all where
    the runtime computes in float16. The converter itself would round every constant, including
    the reciprocals of height and width in means, with many times larger errors.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpacked(content)
    graph = model.subgraphs[0]
    codes = [code.builtinCode for code in model.operatorCodes]
    model.operatorCodes.append(
        schema.OperatorCodeT(
            deprecatedBuiltinCode=schema.BuiltinOperator.DEQUANTIZE,
            builtinCode=schema.BuiltinOperator.DEQUANTIZE,
            version=3,  # the first for float16
        )
    )
    kernels = {
        int(operator.inputs[1])
        for operator in graph.operators
        if codes[operator.opcodeIndex] == schema.BuiltinOperator.CONV_2D
    }
    casts = []
    for index in sorted(kernels):
        tensor = graph.tensors[index]
        values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32)
        half = schema.TensorT(
            shape=tensor.shape,
            type=schema.TensorType.FLOAT16,
            buffer=_add_buffer(model, values.astype(np.float16).tobytes()),
            name=tensor.name + b"/float16",
            hasRank=tensor.hasRank,
        )
        model.buffers[tensor.buffer].data = None
        graph.tensors.append(half)
        casts.append(
            schema.OperatorT(
                opcodeIndex=len(codes), inputs=[len(graph.tensors) - 1], outputs=[index]
            )
        )
    graph.operators = casts + graph.operators
    return _packed(model)


def quantize_convolutions(content: bytes, layers: Sequence[Layer]) -> bytes:
    """Quantize convolutions in the content of a float32 file to int8.

    Each gets an operator before it that converts its input to int8, and one after it that converts
    its output back to float32. `layers` are found by their kernels; others stay as they are.

    Raises:
        ValueError: a layer is not in the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpacked(content)
    graph = model.subgraphs[0]
    codes = [code.builtinCode for code in model.operatorCodes]
    operators = schema.BuiltinOperator
    # Versions: the first that support int8.
    for code, version in ((operators.QUANTIZE, 1), (operators.DEQUANTIZE, 2)):
        model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=version)
        )

    def add(like: Any, suffix: bytes, kind: int, grid: tuple[Any, Any], values: Any = None) -> int:
        """Add a tensor with the shape of another; a constant if there are values."""
        scale, zero_point = (np.ravel(part) for part in grid)
        quantization = schema.QuantizationParametersT(
            scale=scale.astype(np.float32), zeroPoint=zero_point.astype(np.int64)
        )
        buffer = 0 if values is None else _add_buffer(model, values.tobytes())
        graph.tensors.append(
            schema.TensorT(
                shape=like.shape,
                type=kind,
                buffer=buffer,
                name=like.name + suffix,
                quantization=quantization,
                hasRank=like.hasRank,
            )
        )
        return len(graph.tensors) - 1

    def layer_of(operator: Any) -> Layer | None:
        """Take the layer that an operator is off the list."""
        if codes[operator.opcodeIndex] != operators.CONV_2D:
            return None
        kernel, _ = constants(operator)
        for number, layer in enumerate(missing):
            if np.array_equal(layer.kernel.transpose(3, 0, 1, 2), kernel):
                return missing.pop(number)
        return None

    def constants(operator: Any) -> list[np.ndarray]:
        """Kernel, as TFLite stores it, `[F, kh, kw, C]`, and bias."""
        tensors = [graph.tensors[index] for index in operator.inputs[1:]]
        return [
            np.frombuffer(bytes(model.buffers[each.buffer].data), np.float32).reshape(each.shape)
            for each in tensors
        ]

    missing, rewritten, replaced = list(layers), [], []
    for operator in graph.operators:
        if (layer := layer_of(operator)) is None:
            rewritten.append(operator)
            continue
        model.operatorCodes[operator.opcodeIndex].version = 3
        x, kernel, bias = (graph.tensors[index] for index in operator.inputs)
        result = graph.tensors[operator.outputs[0]]
        kernels, biases = constants(operator)
        int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
        scale = layer.kernel_scale
        steps = scale * layer.input.scale
        taps = np.rint(kernels / scale[:, None, None, None]).astype(np.int8)
        zeros = np.zeros(len(scale))
        inputs = [
            add(x, b"/int8", int8, layer.input),
            add(kernel, b"/int8", int8, (scale, zeros), taps),
            add(bias, b"/int32", int32, (steps, zeros), np.rint(biases / steps).astype(np.int32)),
        ]
        output = add(result, b"/int8", int8, layer.output)
        count = len(codes)
        rewritten += [
            schema.OperatorT(opcodeIndex=count, inputs=[operator.inputs[0]], outputs=[inputs[0]]),
            operator,
            schema.OperatorT(opcodeIndex=count + 1, inputs=[output], outputs=[operator.outputs[0]]),
        ]
        replaced.append(kernel.buffer)
        operator.inputs, operator.outputs = inputs, [output]
    if missing:
        raise ValueError(f"no kernel of the file is one of {[x.kernel.shape for x in missing]}")
    for buffer in replaced:
        model.buffers[buffer].data = None
    graph.operators = rewritten
    return _packed(model)


def _add_buffer(model: Any, data: bytes) -> int:
    from ai_edge_litert import schema_py_generated as schema

    model.buffers.append(schema.BufferT(data=np.frombuffer(data, np.uint8)))
    return len(model.buffers) - 1


def _unpacked(content: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())
