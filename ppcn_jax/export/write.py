"""One network written as one file of another runtime, and checked before it takes its name."""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from ppcn_jax.errors import InputError
from ppcn_jax.export.onnx import run_onnx, to_onnx
from ppcn_jax.export.photos import as_input, cut, synthetic_photo
from ppcn_jax.export.stablehlo import run_stablehlo, side_step, to_stablehlo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.verify import Run, compare
from ppcn_jax.files import replacing
from ppcn_jax.networks import Model

# How many photos are checked with: more of them find nothing new and take their time.
CHECKED = 2
# Files for every size are checked with a second one, two images at a time.
ODD_SIZE = (75, 101)


def write_export(
    model: Model,
    destination: pathlib.Path,
    format: str,
    precision: str,
    size: tuple[int, int],
    photos: Sequence[np.ndarray],
) -> Iterator[str]:
    """Write a network for another runtime and check it; a file that fails is not kept.

    Args:
        model: the network.
        destination: the file; one that exists is replaced at the end.
        format: "onnx", "tflite" or "stablehlo".
        precision: "float32"; for TFLite also "float16" or "int8".
        size: height and width to check with; for TFLite those of the file.
        photos: uint8 `[height, width, 3]`, to calibrate and check with; if there are none, it is
            checked with a synthetic one.

    Yields:
        What each check found, a line each.

    Raises:
        InputError: too few photos, or a file that does not do what the network does.
        OSError: it cannot be written.
    """
    calibration: Sequence[np.ndarray] = ()
    if precision == "int8":
        if len(photos) < 2:
            raise InputError("int8 needs two photos or more: what it is checked on is kept apart")
        kept = min(CHECKED, -(-len(photos) // 4))
        calibration, photos = photos[:-kept], photos[-kept:]
    images = list(photos[:CHECKED]) or [synthetic_photo(*size)]
    inputs = [as_input(model, image) for image in calibration]
    with replacing(destination) as beside:
        beside.write_bytes(_content(model, format, precision, size, inputs))
        runtime, run = _opened(format, beside)
        # TFLite is of one size and one image at a time.
        for sides, count in ((size, 1), (ODD_SIZE, 2))[: 1 if format == "tflite" else 2]:
            if format == "stablehlo":
                sides = _whole_steps(sides, side_step(model))
            difference = compare(model, run, (_batch(model, i, sides, count) for i in images))
            difference.check(precision)
            yield f"{sides[1]}x{sides[0]}, {runtime} against JAX: {difference}"


def _content(
    model: Model, format: str, precision: str, size: tuple[int, int], inputs: Sequence[np.ndarray]
) -> bytes:
    if format == "onnx":
        return to_onnx(model)
    if format == "stablehlo":
        return to_stablehlo(model)
    height, width = size
    return to_tflite(model, height=height, width=width, precision=precision, calibration=inputs)


def _opened(format: str, path: pathlib.Path) -> tuple[str, Run]:
    """The runtime's name, and the file in it."""
    if format == "onnx":
        return "ONNX Runtime", run_onnx(path)
    if format == "stablehlo":
        return "StableHLO", run_stablehlo(path)
    return "LiteRT", run_tflite(path)


def _whole_steps(sides: tuple[int, int], step: int) -> tuple[int, int]:
    height, width = (side - side % step for side in sides)
    return height, width


def _batch(model: Model, image: np.ndarray, sides: tuple[int, int], count: int) -> np.ndarray:
    """The middle of a photo as the network is given it, and further images of brighter copies."""
    middle = cut(image, *sides)
    brighter = [255 - (255 - middle) // (1 + n) for n in range(count)]
    return np.concatenate([as_input(model, image) for image in brighter])
