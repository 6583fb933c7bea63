"""Time networks in JAX, in OpenVINO and as exported files, with their errors and the sizes of files.

    python -m ppcn_jax.benchmark.exports WEIGHTS... --photos PATH...

All run in turns on the first photo and all cores. JAX and OpenVINO run as in `ppcn-jax enhance`: in
bands above 2 megapixels. The files, which stay in `--output`, get the complete photo. Times are
medians.
"""

import argparse
import functools
import importlib.util
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ppcn_jax.benchmark.competitors import JAX, Run, missing_packages
from ppcn_jax.benchmark.floors import layer_results
from ppcn_jax.benchmark.pytorch.inference import in_float64
from ppcn_jax.benchmark.report import print_row, short_markdown
from ppcn_jax.benchmark.rows import Row, Rows, guarded, make_row, record_problem, timed_rows
from ppcn_jax.evaluation.tables import print_written
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.export.command import FORMATS, image_size
from ppcn_jax.export.images import as_input, read_photos
from ppcn_jax.export.write import open_export, write_export
from ppcn_jax.inference.enhance import WHOLE_PIXELS, apply_model
from ppcn_jax.runtime.errors import InputError, install_hint
from ppcn_jax.runtime.files import write_json
from ppcn_jax.runtime.machine import describe_machine
from ppcn_jax.runtime.malloc import keep_freed_memory
from ppcn_jax.runtime.memory import check_available
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model

OPENVINO = "OpenVINO"
# Names in the table -> format and precision of a file.
FILES = {
    "ONNX Runtime": ("onnx", "float32"),
    "LiteRT": ("tflite", "float32"),
    "LiteRT, float16": ("tflite", "float16"),
    "LiteRT, int8": ("tflite", "int8"),
    "StableHLO": ("stablehlo", "float32"),
}
# A runtime takes less than so many times the memory of the results of all convolutions.
_COPIES = 3


class _File(NamedTuple):
    run: Callable[[np.ndarray], np.ndarray]
    kilobytes: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, check and time the files, and print the table. Arguments are sys.argv's by default."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="+", metavar="WEIGHTS")
    parser.add_argument("--photos", nargs="+", required=True, metavar="PATH")
    parser.add_argument(
        "--sizes",
        type=lambda text: [image_size(size) for size in text.split(",")],
        default="1280x720",
        metavar="WIDTHxHEIGHT,...",
        help="px; default: 1280x720",
    )
    parser.add_argument(
        "--output", default="exports", metavar="DIR", help="folder; default: exports"
    )
    parser.add_argument("--json", metavar="FILE", help="default: exports.json in that folder")
    parser.add_argument("--runs", type=int, default=10, help="timed runs of each; default: 10")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    folder = pathlib.Path(options.output)
    file = pathlib.Path(options.json or folder / "exports.json")
    rows: list[Row] = []
    try:
        models = [load_model(name) for name in options.weights]
        machine = describe_machine()
        for size in options.sizes:
            photos = read_photos(options.photos, *size)
            for model in models:
                measure = functools.partial(
                    measure_exports, model, photos, folder, rounds=options.runs
                )
                for row in guarded(model.name, measure):
                    rows.append(row)
                    print_row(row)
                write_json(file, {"machine": machine, "rounds": options.runs, "rows": rows})
    except (InputError, OSError) as error:
        sys.exit(str(error))
    print(short_markdown(rows))
    print_written(file)


def measure_exports(
    model: Model, photos: Sequence[np.ndarray], folder: pathlib.Path, *, rounds: int
) -> Rows:
    """Time a network on the first of some photos of one size, in all runtimes.

    `photos` are uint8 `[H, W, 3]`; all of them calibrate and verify the files, which are written to
    `folder`. A runtime that is not installed, a file that differs too much and one whose memory
    would not suffice for the complete photo have a row with the reason. So has the evaluation in
    float64, by PyTorch.
    """
    images = as_input(model, photos[0])
    height, width = images.shape[1:3]
    runners: dict[str, Run] = {}
    problems: dict[str, str] = {}
    columns: dict[str, dict[str, float]] = {"difference": {}, "error": {}, "kilobytes": {}}
    exact = None
    with record_problem(problems, "float64"):
        exact = _in_float64(model, images[0])
    for name in (JAX, OPENVINO, *FILES):
        with record_problem(problems, name):
            if name in FILES:
                file = _open_file(model, folder, photos, images, *FILES[name])
                run = functools.partial(_first, file.run, images)
                columns["kilobytes"][name] = file.kilobytes
            else:
                run = functools.partial(_as_enhance, images[0], model, name.lower())
            output = run().copy()  # libraries may reuse the memory of their results
            if name == JAX:
                reference = output
            columns["difference"][name] = _largest(output, reference)
            if exact is not None:
                columns["error"][name] = _largest(output, exact)
            runners[name] = run
    task = f"{model.name.replace('_', '-')} and its files, {width}x{height}"
    yield from timed_rows(task, take_turns(runners, rounds=rounds), columns=columns)
    for name, problem in problems.items():
        yield make_row(task, name, problem=problem)


def _as_enhance(image: np.ndarray, model: Model, runtime: str) -> np.ndarray:
    return np.clip(apply_model(image, model, runtime), 0, 1)


def _first(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    return run(images)[0]


def _open_file(
    model: Model,
    folder: pathlib.Path,
    photos: Sequence[np.ndarray],
    images: np.ndarray,
    format: str,
    precision: str,
) -> _File:
    """Write a file for images of this size, and open it."""
    suffix, packages = FORMATS[format]
    if missing := [name for name in packages if not importlib.util.find_spec(name)]:
        raise InputError(f"{', '.join(missing)} is not installed: {install_hint(format)}")
    results = layer_results(model.module, model.params, images)
    check_available(_COPIES * 4 * sum(result.size for result in results.values()))
    height, width = images.shape[1:3]
    path = folder / f"{model.name}-{precision}-{width}x{height}{suffix}"
    write_export(model, path, format, precision, (height, width), photos)
    return _File(open_export(format, path), path.stat().st_size / 1000)


def _in_float64(model: Model, image: np.ndarray) -> np.ndarray:
    if missing := missing_packages("PyTorch"):
        raise InputError(f"{', '.join(missing)} is not installed: {install_hint('bench')}")
    if image.shape[0] * image.shape[1] > WHOLE_PIXELS:
        raise InputError("for photos of more than 2 megapixels, it takes too much memory")
    return np.clip(in_float64(model, image), 0, 1)


def _largest(output: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(output - reference).max())


if __name__ == "__main__":
    main()
