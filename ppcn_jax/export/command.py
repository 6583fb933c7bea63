"""The command `ppcn-jax export`."""

import argparse
import importlib.util
import os
import pathlib
import re

from ppcn_jax.runtime.errors import InputError, install_hint

# Suffix of each format, and the packages that it needs; the extra of the same name has them.
FORMATS = {
    "onnx": (".onnx", ("onnx", "onnxruntime")),
    "tflite": (".tflite", ("tensorflow", "ai_edge_litert")),
    "stablehlo": (".stablehlo", ()),
}
PRECISIONS = ("float32", "float16", "int8")
DEFAULT_SIZE = (720, 1280)


def add_export(subcommands: argparse._SubParsersAction) -> None:
    """Add the subcommand to those of `ppcn-jax`."""
    parser = subcommands.add_parser(
        "export",
        help="write a network for ONNX Runtime, LiteRT or StableHLO",
        description="Write a trained network for phones, browsers and other runtimes. The file is "
        "compared with JAX before it is kept: the differences are printed, and a file that "
        "differs too much is deleted (exit status 1).",
    )
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help="student, teacher or super_resolver, which come with the package, or any source that "
        "ppcn-jax convert accepts",
    )
    suffixes = ", ".join(f"*{suffix}" for suffix, _ in FORMATS.values())
    parser.add_argument("destination", metavar="DESTINATION", help=f"file to write: {suffixes}")
    parser.add_argument("--format", choices=FORMATS, help="default: from the file suffix")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="TFLite only; default float32"
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="image size of a TFLite file in px; default 1280x720. Other formats accept any size",
    )
    parser.add_argument(
        "--photos",
        nargs="+",
        default=[],
        metavar="PATH",
        help="photos, or folders of photos, for the comparison (default: a synthetic photo); int8 "
        "is calibrated on the first three quarters and compared on the rest",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=_export)


def _size(text: str) -> tuple[int, int]:
    """(height, width)."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or min(map(int, match.groups())) < 16:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size, e.g. 1280x720; sides are at least 16 px"
        )
    return int(match[2]), int(match[1])


def _export(options: argparse.Namespace) -> None:
    destination = pathlib.Path(options.destination)
    format = _checked_format(options.format, destination)
    if format != "tflite" and (options.precision != "float32" or options.size):
        raise InputError(f"--precision and --size are for TFLite; {format} is float32 of any size")
    if options.precision == "int8" and not options.photos:
        raise InputError("int8 is calibrated on photos: name some with --photos")
    _check_destination(destination, options.overwrite)
    missing = [name for name in FORMATS[format][1] if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(f"{format} needs {' and '.join(missing)}: {install_hint(format)}")
    # Heavy imports follow the checks, so that --help and usage errors respond at once.
    from ppcn_jax.export.images import read_photos
    from ppcn_jax.export.write import write_export
    from ppcn_jax.weights.load import load_model

    size = options.size or DEFAULT_SIZE
    photos = read_photos(options.photos, *size)
    model = load_model(options.weights)
    print(f"{model.source}: {model.name}, {model.parameters:,} parameters")
    checks = write_export(model, destination, format, options.precision, size, photos)
    for (height, width), difference in checks:
        print(f"{width}x{height} against JAX: {difference}")
    print(f"wrote {destination}: {destination.stat().st_size:,} bytes")


def _checked_format(format: str | None, destination: pathlib.Path) -> str:
    by_suffix = {suffix: name for name, (suffix, _) in FORMATS.items()}
    expected = by_suffix.get(destination.suffix.lower())
    if expected is None and format is None:
        raise InputError(f"{destination}: name it {', '.join('*' + s for s in by_suffix)}")
    if format not in (None, expected):
        raise InputError(f"{destination}: name a file of the format {format} *{FORMATS[format][0]}")
    return format or str(expected)


def _check_destination(destination: pathlib.Path, overwrite: bool) -> None:
    if destination.is_dir():
        raise InputError(f"{destination} is a folder; name a file")
    if destination.exists() and not overwrite:
        raise InputError(f"{destination} already exists; --overwrite replaces it")
    folder = destination.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{destination} cannot be written: {folder} is not a writable folder")
