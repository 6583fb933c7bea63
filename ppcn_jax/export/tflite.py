"""Write TFLite files, for images of one size, and run them in LiteRT."""

import pathlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from ppcn_jax.export.contract import INPUT, OUTPUT, clipped, describe
from ppcn_jax.export.mobile_layers import mobile_layers
from ppcn_jax.export.tflite_file import halve_kernels, with_metadata
from ppcn_jax.inference.borders import without_reflection
from ppcn_jax.runtime.progress import heartbeat
from ppcn_jax.runtime.quiet import quiet_libraries
from ppcn_jax.weights.model import Model


def to_tflite(
    model: Model,
    *,
    height: int,
    width: int,
    precision: str = "float32",
    calibration: Sequence[np.ndarray] = (),
) -> bytes:
    """The content of a network's TFLite file, with built-in operators that GPUs have too.

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
    with quiet_libraries():
        return _convert(model, height, width, precision, calibration)


def _convert(
    model: Model, height: int, width: int, precision: str, calibration: Sequence[np.ndarray]
) -> bytes:
    """`to_tflite`, with the messages of TensorFlow."""
    import tensorflow as tf
    from jax.experimental import jax2tf

    images = tf.TensorSpec((1, height, width, 3), tf.float32, name=INPUT)
    _, border = without_reflection(model.module)
    sides = [[0, 0], [border, border], [border, border], [0, 0]]
    network = clipped(model)

    def continued(images: jax.Array) -> jax.Array:
        with mobile_layers():
            return network(images)

    # The converter supports only programs for the CPU, whatever accelerator JAX uses here.
    run = jax2tf.convert(continued, with_gradient=False, native_serialization_platforms=("cpu",))
    function = tf.function(
        lambda images: {OUTPUT: run(tf.pad(images, sides, "REFLECT") if border else images)},
        input_signature=[images],
        autograph=False,
    )
    holder = tf.Module()
    holder.function = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], holder
    )
    content = _quantized(converter, calibration) if precision == "int8" else converter.convert()
    if precision == "float16":
        content = halve_kernels(content)
    runtime = f"TensorFlow Lite, converted by TensorFlow {tf.__version__}; LiteRT"
    return with_metadata(content, describe(model, runtime) | {"precision": precision})


def _quantized(converter: Any, calibration: Sequence[np.ndarray]) -> bytes:
    """Quantize the convolutions to int8 and leave the rest in float32.

    Image statistics differ between channels by orders of magnitude, more than 256 values shared by
    all channels can span: with statistics in int8, the released teacher stays below 15 dB at
    1280x720.
    """
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    state = "calibrating"

    def images() -> Iterator[list[np.ndarray]]:
        nonlocal state
        for number, image in enumerate(calibration, start=1):
            state = f"calibrating on photo {number} of {len(calibration)}"
            yield [image]
        state = "quantizing"

    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    operators = {name for name in vars(schema.BuiltinOperator) if name.isupper()}
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=sorted(operators - {"CONV_2D"})
    )
    # TensorFlow's messages, and with them stderr, are discarded here.
    with heartbeat(lambda: state, sys.stdout), warnings.catch_warnings():
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
    with quiet_libraries():
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
