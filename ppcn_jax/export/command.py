"""The command `ppcn-jax export`."""

import argparse
import importlib.util
import os
import pathlib
import re
import shlex
from typing import TYPE_CHECKING

from ppcn_jax.runtime.errors import InputError, install_hint, printable

if TYPE_CHECKING:
    from ppcn_jax.weights.model import Model

# Suffix of each format, and the packages that it needs.
FORMATS = {
    "onnx": (".onnx", ("onnx", "onnxruntime")),
    "tflite": (".tflite", ("tensorflow", "ai_edge_litert")),
    "stablehlo": (".stablehlo", ()),
    "dtmodel": (".dtmodel", ("onnx", "onnxruntime")),
    "page": ("", ("onnx", "onnxruntime")),  # a folder
}
# The extras that have these packages, where they are not named like the format.
EXTRAS = {"dtmodel": "onnx", "page": "onnx"}
PRECISIONS = ("float32", "float16", "int8")
DEFAULT_SIZE = (720, 1280)


def add_export(subcommands: argparse._SubParsersAction) -> None:
    """Add the subcommand to those of `ppcn-jax`."""
    parser = subcommands.add_parser(
        "export",
        help="write a network for ONNX Runtime, LiteRT, StableHLO, darktable or browsers",
        description="Write a trained network for phones, browsers, darktable and other runtimes. "
        "The file is "
        "compared with JAX before it is kept: the differences are printed, and a file that "
        "differs too much is deleted (exit status 1).",
    )
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help="student, teacher or super_resolver, which come with the package, or any source that "
        "ppcn-jax convert accepts",
    )
    suffixes = ", ".join(f"*{suffix}" for suffix, _ in FORMATS.values() if suffix)
    parser.add_argument(
        "destination",
        metavar="DESTINATION",
        help=f"file to write: {suffixes}; with --format page, a folder",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="default: from the file suffix. page: a folder that any web server can offer, with a "
        "page that processes photos in the browser",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="TFLite only; default float32"
    )
    parser.add_argument(
        "--size",
        type=image_size,
        metavar="WIDTHxHEIGHT",
        help="image size of a TFLite file in px; default 1280x720. Other formats accept any size",
    )
    parser.add_argument(
        "--photos",
        nargs="+",
        default=[],
        metavar="PATH",
        help="photos, or folders of photos, for the comparison (default: a synthetic photo); int8 "
        "is calibrated on the first three quarters and compared on the rest, or compared on all if the "
        "network was trained for it (train.quantize); a package for darktable uses the statistics of "
        "these photos in place of those of each photo",
    )
    parser.add_argument(
        "--package-version",
        type=_version,
        metavar="X.Y",
        help="version of a package for darktable, which looks for higher ones; default 1.0",
    )
    parser.add_argument(
        "--statistics",
        choices=("inside", "separate"),
        default="inside",
        help="ONNX only: separate writes one more file for each statistic of the image, for "
        "programs that work in bands; default inside",
    )
    parser.add_argument(
        "--node-modules",
        metavar="FOLDER",
        help="page only: where `npm install onnxruntime-web` put the package; default: the "
        "environment variable PPCN_NODE_MODULES, or node_modules",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file or page")
    parser.set_defaults(run=_export)


def image_size(text: str) -> tuple[int, int]:
    """Height and width of an argument WIDTHxHEIGHT.

    Raises:
        argparse.ArgumentTypeError: it is none, or a side is below 16 px.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or min(map(int, match.groups())) < 16:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size, e.g. 1280x720; sides are at least 16 px"
        )
    return int(match[2]), int(match[1])


def _version(text: str) -> str:
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version, e.g. 1.2")
    return text


def _export(options: argparse.Namespace) -> None:
    destination = pathlib.Path(options.destination)
    format = _checked_format(options.format, destination)
    if format != "tflite" and (options.precision != "float32" or options.size):
        raise InputError(f"--precision and --size are for TFLite; {format} is float32 of any size")
    if format != "dtmodel" and options.package_version:
        raise InputError("--package-version is for packages for darktable, *.dtmodel")
    if format != "onnx" and options.statistics == "separate":
        raise InputError("--statistics separate is for ONNX, *.onnx")
    if format != "page" and options.node_modules:
        raise InputError("--node-modules is for pages, --format page")
    _check_destination(destination, options.overwrite, format)
    missing = [name for name in FORMATS[format][1] if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(
            f"{format} needs {' and '.join(missing)}: {install_hint(EXTRAS.get(format, format))}"
        )
    # Heavy imports follow the checks, so that --help and usage errors respond at once.
    from ppcn_jax.export.dtmodel import VERSIONS, check_package, write_package
    from ppcn_jax.export.images import photo_files, read_photos
    from ppcn_jax.export.page import check_folder, find_runtime, write_page
    from ppcn_jax.export.write import write_export, write_parts

    if format == "dtmodel":
        check_package(destination)
        files = photo_files(options.photos)
        model = _loaded(options.weights)
        written = write_package(model, destination, options.package_version or "1.0", files)
        checks = [written.check]
        for photo, decibels in written.closeness:
            print(
                f"{printable(str(photo))}: {decibels:.1f} dB from the result with its own statistics"
            )
        print(f"listed in {destination.with_name(VERSIONS)}")
    elif format == "page":
        check_folder(destination, options.overwrite)
        package = find_runtime(options.node_modules)
        photos = read_photos(options.photos, *DEFAULT_SIZE)
        checks = write_page(_loaded(options.weights), destination, DEFAULT_SIZE, photos, package)
    else:
        size = options.size or DEFAULT_SIZE
        photos = read_photos(options.photos, *size)
        model = _loaded(options.weights)
        if options.statistics == "separate":
            overwrite = options.overwrite
            checks = write_parts(model, destination, size, photos, overwrite=overwrite)
        else:
            checks = write_export(model, destination, format, options.precision, size, photos)
    for (height, width), difference in checks:
        print(f"{width}x{height} against JAX: {difference}")
    everything = (destination, *destination.rglob("*"))
    written_bytes = sum(path.stat().st_size for path in everything if path.is_file())
    print(f"wrote {destination}: {written_bytes:,} bytes")
    if format == "page":
        print(f"open it: python -m http.server --directory {shlex.quote(str(destination))}")


def _loaded(weights: str) -> "Model":
    from ppcn_jax.weights.load import load_model

    model = load_model(weights)
    print(f"{model.source}: {model.name}, {model.parameters:,} parameters")
    return model


def _checked_format(format: str | None, destination: pathlib.Path) -> str:
    if format == "page":
        return format
    by_suffix = {suffix: name for name, (suffix, _) in FORMATS.items() if suffix}
    expected = by_suffix.get(destination.suffix.lower())
    if expected is None and format is None:
        raise InputError(
            f"{destination}: name it {', '.join('*' + s for s in by_suffix)}, or a folder with --format page"
        )
    if format not in (None, expected):
        raise InputError(f"{destination}: name a file of the format {format} *{FORMATS[format][0]}")
    return format or str(expected)


def _check_destination(destination: pathlib.Path, overwrite: bool, format: str) -> None:
    if format != "page" and destination.is_dir():
        raise InputError(f"{destination} is a folder; name a file")
    if format != "page" and destination.exists() and not overwrite:
        raise InputError(f"{destination} already exists; --overwrite replaces it")
    folder = destination.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{destination} cannot be written: {folder} is not a writable folder")
