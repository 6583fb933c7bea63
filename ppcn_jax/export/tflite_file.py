"""Edit the flatbuffer of a TFLite file where the converter has no option for it."""

import json
import os
import pathlib
from typing import Any

import numpy as np

# Name of our metadata entry; the converter and other tools add their own.
ENTRY = "ppcn-jax"
_IDENTIFIER = b"TFL3"


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
