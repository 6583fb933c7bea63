"""Write a network as a file for another runtime and compare it with JAX before it is kept."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, cut, synthetic_photo
from ppcn_jax.export.onnx import run_onnx, to_onnx
from ppcn_jax.export.onnx_parts import run_onnx_parts, to_onnx_parts
from ppcn_jax.export.stablehlo import run_stablehlo, side_step, to_stablehlo
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.export.verify import Difference, Run, compare
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import replacing, write_bytes
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.int8 import ranges_of
from ppcn_jax.weights.model import Model

# Number of photos for the comparison; more would take time and find nothing new.
CHECKED = 2
# Files for any size are also compared at this one, with two images at a time.
ODD_SIZE = (75, 101)


class Check(NamedTuple):
    """Result of one comparison between the file and JAX; sides are height and width."""

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
    """Write a network for another runtime and compare it with JAX.

    Args:
        model: the network.
        destination: the file; an existing one is replaced once the comparison has passed.
        format: "onnx", "tflite" or "stablehlo".
        precision: "float32"; for TFLite also "float16" or "int8".
        size: height and width for the comparison; for TFLite those of the file.
        photos: uint8 `[height, width, 3]`, for calibration and comparison; a synthetic photo is
            used if there are none.

    Returns:
        The results of the comparisons.

    Raises:
        InputError: too few photos, or the file differs too much; nothing is kept.
        OSError: the file cannot be written.
    """
    calibration: Sequence[np.ndarray] = ()
    if precision == "int8" and not ranges_of(model):
        if len(photos) < 2:
            raise InputError(
                "int8 needs at least two photos, for calibration and comparison: name them with "
                "--photos. Only networks that were trained with train.quantize need none"
            )
        kept = min(CHECKED, -(-len(photos) // 4))
        calibration, photos = photos[:-kept], photos[-kept:]
    images = list(photos[:CHECKED]) or [synthetic_photo(*size)]
    inputs = [as_input(model, image) for image in calibration]
    checks = []
    with replacing(destination) as beside:
        beside.write_bytes(_content(model, format, precision, size, inputs))
        run = open_export(format, beside)
        # TFLite files accept one size and one image at a time.
        for sides, count in ((size, 1), (ODD_SIZE, 2))[: 1 if format == "tflite" else 2]:
            if format == "stablehlo":
                step = side_step(model)
                sides = (sides[0] - sides[0] % step, sides[1] - sides[1] % step)
            batches = (_batch(model, image, sides, count) for image in images)
            difference = compare(clipped(model), run, batches)
            difference.check(precision)
            checks.append(Check(sides, difference))
    return checks


def write_parts(
    model: Model,
    destination: pathlib.Path,
    size: tuple[int, int],
    photos: Sequence[np.ndarray],
    *,
    overwrite: bool = False,
) -> list[Check]:
    """Write a network as the ONNX files of `to_onnx_parts` and compare them with JAX.

    Args:
        model: the network.
        destination: the last file; the others are written beside it.
        size: height and width for the comparison.
        photos: uint8 `[height, width, 3]`; a synthetic photo is used if there are none.
        overwrite: replace files that exist beside the destination.

    Returns:
        The results of the comparisons.

    Raises:
        InputError: a network without statistics, a file exists, or they differ too much; nothing
            is kept.
        OSError: a file cannot be written.
    """
    parts = to_onnx_parts(model, destination)
    existing = [path for path in parts if path != destination and path.exists()]
    if existing and not overwrite:
        raise InputError(f"{existing[0]} already exists; --overwrite replaces it")
    checks = check_parts(model, parts, size, photos)
    for path, content in parts.items():
        write_bytes(path, content)
    return checks


def check_parts(
    model: Model,
    parts: Mapping[pathlib.Path, bytes],
    size: tuple[int, int],
    photos: Sequence[np.ndarray],
) -> list[Check]:
    """Compare the files of `to_onnx_parts` with JAX; raises InputError if they differ too much.

    The arguments are those of `write_parts`.
    """
    run = run_onnx_parts(model, parts, threads=core_count())
    images = list(photos[:CHECKED]) or [synthetic_photo(*size)]
    checks = []
    for sides, count in ((size, 1), (ODD_SIZE, 2)):
        sides = (sides[0] - sides[0] % side_step(model), sides[1])
        batches = (_batch(model, image, sides, count) for image in images)
        difference = compare(clipped(model), run, batches)
        difference.check("float32")
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
    """Open an exported file in its runtime, on all cores, as a function of `[N, H, W, 3]`."""
    if format == "onnx":
        return run_onnx(path, threads=core_count())
    if format == "stablehlo":
        return run_stablehlo(path)
    return run_tflite(path, threads=core_count())


def _batch(model: Model, image: np.ndarray, sides: tuple[int, int], count: int) -> np.ndarray:
    """The network's input for the center of a photo and for `count - 1` brighter copies of it."""
    center = cut(image, *sides)
    brighter = [255 - (255 - center) // (1 + n) for n in range(count)]
    return np.concatenate([as_input(model, image) for image in brighter])
