"""One network written as one file of another runtime, and checked before it takes its name."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ppcn_jax.export.images import as_input, cut, synthetic_photo
from ppcn_jax.export.onnx import run_onnx, to_onnx
from ppcn_jax.export.stablehlo import run_stablehlo, side_step, to_stablehlo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.verify import Difference, Run, compare
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import replacing
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.model import Model

# How many photos are checked with: more of them find nothing new and take their time.
CHECKED = 2
# Files for every size are checked with a second one, two images at a time.
ODD_SIZE = (75, 101)


class Check(NamedTuple):
    """What a check found.

    Attributes:
        sides: height and width of the images.
        difference: between the file and JAX.
    """

    sides: tuple[int, int]
    difference: Difference


def write_export(
    model: Model,
    destination: pathlib.Path,
    format: str,
    precision: str,
    size: tuple[int, int],
    photos: Sequence[np.ndarray],
) -> list[Check]:
    """Write a network for another runtime and check it; a file that fails is not kept.

    Args:
        model: the network.
        destination: the file; one that exists is replaced at the end.
        format: "onnx", "tflite" or "stablehlo".
        precision: "float32"; for TFLite also "float16" or "int8".
        size: height and width to check with; for TFLite those of the file.
        photos: uint8 `[height, width, 3]`, to calibrate and check with; if there are none, it is
            checked with a synthetic one.

    Returns:
        What each check found.

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
    checks = []
    with replacing(destination) as beside:
        beside.write_bytes(_content(model, format, precision, size, inputs))
        run = open_export(format, beside)
        # TFLite is of one size and one image at a time.
        for sides, count in ((size, 1), (ODD_SIZE, 2))[: 1 if format == "tflite" else 2]:
            if format == "stablehlo":
                sides = _whole_steps(sides, side_step(model))
            difference = compare(model, run, (_batch(model, i, sides, count) for i in images))
            difference.check(precision)
            checks.append(Check(sides, difference))
    return checks


def _content(
    model: Model, format: str, precision: str, size: tuple[int, int], inputs: Sequence[np.ndarray]
) -> bytes:
    if format == "onnx":
        return to_onnx(model)
    if format == "stablehlo":
        return to_stablehlo(model)
    height, width = size
    return to_tflite(model, height=height, width=width, precision=precision, calibration=inputs)


def open_export(format: str, path: pathlib.Path) -> Run:
    """An exported file in its runtime, on all cores of the processor.

    Args:
        format: "onnx", "tflite" or "stablehlo".
        path: the file.

    Returns:
        A function of float32 images `[N, H, W, 3]`.
    """
    if format == "onnx":
        return run_onnx(path, threads=core_count())
    if format == "stablehlo":
        return run_stablehlo(path)
    return run_tflite(path, threads=core_count())


def _whole_steps(sides: tuple[int, int], step: int) -> tuple[int, int]:
    height, width = (side - side % step for side in sides)
    return height, width


def _batch(model: Model, image: np.ndarray, sides: tuple[int, int], count: int) -> np.ndarray:
    """The middle of a photo as the network is given it, and further images of brighter copies."""
    middle = cut(image, *sides)
    brighter = [255 - (255 - middle) // (1 + n) for n in range(count)]
    return np.concatenate([as_input(model, image) for image in brighter])
