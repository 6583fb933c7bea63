"""Write ONNX files, which accept images of any size, and run them in ONNX Runtime."""

import pathlib
from collections.abc import Callable

import numpy as np

from ppcn_jax.export.contract import INPUT, OUTPUT, describe
from ppcn_jax.export.onnx_graph import IR_VERSION, OPSET, Graph
from ppcn_jax.export.onnx_networks import NETWORKS
from ppcn_jax.inference.borders import without_reflection
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model


def to_onnx(model: Model) -> bytes:
    """The content of a network's ONNX file.

    Its input "images" and output "result" are float32 `[N, H, W, 3]` of any N, H and W; its
    metadata is in `metadata_props`.

    Raises:
        InputError: a network without a function in `onnx_networks`.
    """
    import onnx
    from onnx import helper

    if model.name not in NETWORKS:
        raise InputError(f"there is no ONNX graph of a {model.name}; add one to onnx_networks.py")
    graph = Graph(model.params, without_reflection(model.module)[1])
    x = graph.op("Transpose", INPUT, perm=[0, 3, 1, 2])
    x = NETWORKS[model.name](graph, x, model)
    x = graph.op("Clip", x, graph.constant(0.0), graph.constant(1.0))
    graph.op("Transpose", x, perm=[0, 2, 3, 1], output=OUTPUT)
    shape: list[str | int | None] = ["batch", "height", "width", 3]
    images, result = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in (INPUT, OUTPUT)
    )
    file = helper.make_model(
        helper.make_graph(graph.nodes, model.name, [images], [result], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ppcn-jax",
    )
    helper.set_model_props(file, describe(model))
    onnx.checker.check_model(file, full_check=True)
    return file.SerializeToString()


def run_onnx(path: pathlib.Path, *, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Open a file in ONNX Runtime on the CPU, as a function of float32 images `[N, H, W, 3]`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads that spin would slow down the rest of the process, such as JAX.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]
