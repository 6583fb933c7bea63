"""Write ONNX files, which accept images of any size, and run them in ONNX Runtime."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ppcn_jax.export.contract import INPUT, OUTPUT, describe
from ppcn_jax.graphs.graph import OPSET, Graph
from ppcn_jax.graphs.networks import add_network
from ppcn_jax.inference.borders import border_of
from ppcn_jax.inference.structure import structure_of
from ppcn_jax.weights.model import Model

Shape = tuple[str | int, ...]

IR_VERSION = 8  # runtimes since 2023 support it and the operators' version
RUNTIME = f"ONNX opset {OPSET}, IR version {IR_VERSION}; ONNX Runtime 1.14 or later"


def to_onnx(model: Model) -> bytes:
    """The content of a network's ONNX file.

    Its input "images" and output "result" are float32 `[N, H, W, 3]` of any N, H and W; its
    metadata is in `metadata_props`.
    """
    graph = Graph(model.params, border_of(structure_of(model)))
    x = graph.op("Transpose", INPUT, perm=[0, 3, 1, 2])
    x = add_network(graph, x, model.name, model.settings)
    x = graph.op("Clip", x, graph.constant(0.0), graph.constant(1.0))
    graph.op("Transpose", x, perm=[0, 2, 3, 1], output=OUTPUT)
    shape: Shape = ("batch", "height", "width", 3)
    return serialized(graph, model.name, {INPUT: shape}, {OUTPUT: shape}, describe(model, RUNTIME))


def serialized(
    graph: Graph,
    name: str,
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    metadata: Mapping[str, str],
) -> bytes:
    """The content of a file with float32 inputs and outputs; names of sides stand for any size.

    It has only what the outputs depend on, except that the first input is always there.
    """
    import onnx
    from onnx import helper, numpy_helper

    nodes = graph.needed_for(outputs)
    needed = {*outputs, next(iter(inputs))}.union(*(node.inputs for node in nodes))
    ins, outs = (
        [
            helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape)
            for tensor, shape in of.items()
            if tensor in needed
        ]
        for of in (inputs, outputs)
    )
    file = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(
                    node.kind, node.inputs, [node.output], name=node.output, **node.attributes
                )
                for node in nodes
            ],
            name,
            ins,
            outs,
            [
                numpy_helper.from_array(array, name)
                for name, array in graph.constants.items()
                if name in needed
            ],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ppcn-jax",
    )
    helper.set_model_props(file, dict(metadata))
    onnx.checker.check_model(file, full_check=True)
    return file.SerializeToString()


def run_onnx(path: pathlib.Path, *, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Open a file in ONNX Runtime on the CPU, as a function of float32 images `[N, H, W, 3]`."""
    session = open_session(path, threads=threads)
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def open_session(file: pathlib.Path | bytes, *, threads: int) -> Any:
    """Open a file, or its content, as an `onnxruntime.InferenceSession` on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads that spin would slow down the rest of the process, such as JAX.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
