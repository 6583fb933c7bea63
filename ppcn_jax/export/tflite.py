"""Write TFLite files, for images of one size, and run them in LiteRT."""

import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ppcn_jax.export.contract import INPUT, OUTPUT, clipped, describe
from ppcn_jax.export.tflite_file import halve_kernels, with_metadata
from ppcn_jax.weights.model import Model


def to_tflite(
    model: Model,
    *,
    height: int,
    width: int,
    precision: str = "float32",
    calibration: Sequence[np.ndarray] = (),
) -> bytes:
    """The content of a network's TFLite file, with built-in operators only.

    Args:
        model: the network.
        height: of the images, px.
        width: of the images, px.
        precision: "float32"; "float16", which rounds only the kernels of the convolutions; or
            "int8", with convolutions in int8. Input and output are always float32.
        calibration: float32 images `[1, height, width, 3]` for int8: they determine the ranges of
            the inputs and outputs of the convolutions.

    Returns:
        The content; the metadata is one of its buffers.
    """
    # Read when TensorFlow is imported: no messages about instructions and missing devices.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    from jax.experimental import jax2tf

    images = tf.TensorSpec((1, height, width, 3), tf.float32, name=INPUT)
    # The converter supports only programs for the CPU, whatever accelerator JAX uses here.
    run = jax2tf.convert(
        clipped(model), with_gradient=False, native_serialization_platforms=("cpu",)
    )
    function = tf.function(
        lambda images: {OUTPUT: run(images)}, input_signature=[images], autograph=False
    )
    holder = tf.Module()
    holder.function = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], holder
    )
    content = _quantized(converter, calibration) if precision == "int8" else converter.convert()
    if precision == "float16":
        content = halve_kernels(content)
    return with_metadata(content, describe(model) | {"precision": precision})


def _quantized(converter: Any, calibration: Sequence[np.ndarray]) -> bytes:
    """Quantize the convolutions to int8 and leave the rest in float32.

    Image statistics differ between channels by orders of magnitude, more than 256 values shared by
    all channels can span: with statistics in int8, the released teacher stays below 15 dB at
    1280x720.
    """
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    operators = {name for name in vars(schema.BuiltinOperator) if name.isupper()}
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=sorted(operators - {"CONV_2D"})
    )
    with warnings.catch_warnings():
        # The debugger, the only public way to select operators, uses a deprecated interpreter.
        warnings.simplefilter("ignore")
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=options,
        )
        return debugger.get_nondebug_quantized_model()


def run_tflite(path: pathlib.Path, *, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Open a file in LiteRT on the CPU, as a function of float32 images `[1, H, W, 3]`.

    H and W are those of the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    images = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def run(values: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(images, values)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    return run
