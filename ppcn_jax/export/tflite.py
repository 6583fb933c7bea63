"""Write TFLite files, for images of one size, and run them in LiteRT."""

import pathlib
import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from ppcn_jax.export.contract import INPUT, OUTPUT, clipped, describe
from ppcn_jax.export.mobile_layers import mobile_layers
from ppcn_jax.export.tflite_file import (
    Layer,
    halve_kernels,
    quantize_convolutions,
    with_metadata,
)
from ppcn_jax.inference.borders import border_of
from ppcn_jax.inference.structure import structure_of
from ppcn_jax.models.int8 import Ranges, grid_of, kernel_scale
from ppcn_jax.models.int8_ranges import find_ranges
from ppcn_jax.runtime.progress import heartbeat
from ppcn_jax.runtime.quiet import quiet_libraries
from ppcn_jax.weights.int8 import ranges_of
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
            "int8", with all convolutions in int8 but the first and the last. Input and output are
            always float32.
        calibration: float32 images `[1, height, width, 3]` for int8, at least one: they determine
            the ranges of the inputs and outputs of the convolutions. Not used if the network was
            trained with ranges (`train.quantize`).

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
    border = border_of(structure_of(model))
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
    content = converter.convert()
    if precision == "int8":
        content = _in_int8(model, content, calibration)
    elif precision == "float16":
        content = halve_kernels(content)
    runtime = f"TensorFlow Lite, converted by TensorFlow {tf.__version__}; LiteRT"
    return with_metadata(content, describe(model, runtime) | {"precision": precision})


def _in_int8(model: Model, content: bytes, calibration: Sequence[np.ndarray]) -> bytes:
    """Quantize all convolutions but the first and the last to int8; the rest stays float32.

    Image statistics differ between channels by orders of magnitude, more than 256 values shared by
    all channels can span: with statistics in int8, the released teacher stays below 15 dB at
    1280x720. TensorFlow's own calibration takes the lowest and highest values as ranges, which
    cost an earlier student 2.5 dB on the test patches of DPED.
    """
    ranges = ranges_of(model) or _chosen(model, calibration)
    params = flatten_dict(model.params, sep="/")
    layers = []
    for name, each in ranges.items():
        kernel = params[f"{name}/kernel"]
        scale = np.ravel(kernel_scale(jnp.asarray(kernel)))
        layers.append(Layer(kernel, scale, *map(grid_of, each)))
    return quantize_convolutions(content, layers)


def _chosen(model: Model, calibration: Sequence[np.ndarray]) -> dict[str, Ranges]:
    state = ""

    def say(line: str) -> None:
        nonlocal state
        state = line

    # stderr is discarded here.
    with heartbeat(lambda: state, sys.stdout):
        return find_ranges(model.module, model.params, calibration, say)


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
