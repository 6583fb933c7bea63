"""The command `ppcn-jax`."""

import argparse
import os
import pathlib
import re
import sys
import time
from collections.abc import Sequence

from ppcn_jax.export.command import add_export
from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.malloc import keep_freed_memory

FORMATS = ("jpeg", "png", "webp", "tiff")
_USES = {
    "enhance": ("enhanced", "give photos from a phone the look of a good camera's"),
    "upscale": ("enlarged", "enlarge photos four times a side"),
}
_DEFAULTS = {"enhance": "student", "upscale": "super_resolver"}
_MODELS = "student, teacher or super_resolver, which come with the package, or a"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand; what the user can mend ends in one line and exit status 1.

    Args:
        arguments: of the command line.
    """
    options = _parser().parse_args(arguments)
    keep_freed_memory()  # before JAX has threads
    try:
        options.run(options)
    except (InputError, OSError) as error:
        told = "\n".join(map(printable, str(error).split("\n")))
        sys.exit(f"ppcn-jax {options.subcommand}: {told}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ppcn-jax", description="Photo enhancement with PPCN.")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    convert = subcommands.add_parser(
        "convert",
        help="write any trained network as one weights file",
        description="Read a released TensorFlow checkpoint (its prefix), a training workdir or a "
        "weights file, and write a weights file (safetensors). Which network it is, is "
        "recognized from what it holds.",
    )
    convert.add_argument("source", metavar="SOURCE", help="checkpoint prefix, workdir or file")
    convert.add_argument("destination", metavar="DESTINATION", help="file to write, *.safetensors")
    convert.add_argument(
        "--about",
        metavar="NAME=TEXT",
        action="append",
        default=[],
        type=_about,
        help="a line for the file's metadata, besides data, steps and seed of a workdir; may be "
        "given several times, and an empty TEXT leaves that line out",
    )
    convert.set_defaults(run=_convert)
    for use, (_, summary) in _USES.items():
        _add_photo_arguments(subcommands.add_parser(use, help=summary, description=_ABOUT), use)
    _add_serve_arguments(subcommands.add_parser("serve", help="a local page for single photos"))
    add_export(subcommands)
    return parser


_ABOUT = (
    "Each photo is written as it came: same name, format and quality, EXIF, color profile and "
    "alpha, turned upright. Photos in a folder keep their place below it. One that fails is "
    "named at the end, with exit status 1; the others are written."
)


def _add_photo_arguments(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="photo, folder (with all below it) or pattern"
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for the results")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=_DEFAULTS[use],
        help=f"{_MODELS} FILE: what ppcn-jax convert writes or reads; by default %(default)s",
    )
    parser.add_argument("--format", choices=FORMATS, help="instead of that of each photo")
    parser.add_argument(
        "--quality", type=_quality, metavar="N", help="1 to 100, of JPEG, WebP and HEIC"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also write NAME.compare.png with before and after side by side",
    )
    parser.set_defaults(run=_photos, refuse=parser.error)


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="MODEL",
        action="append",
        type=_named,
        help=f"{_MODELS} FILE or NAME=FILE: what ppcn-jax convert writes or reads; several are "
        "offered when it is given several times, and those of the package without any",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; by default %(default)s, which only this computer reaches",
    )
    parser.add_argument(
        "--port", type=_port, default=7860, help="by default %(default)s; 0 takes a free one"
    )
    parser.set_defaults(run=_serve)


def _named(text: str) -> tuple[str, str]:
    name, _, file = text.partition("=")
    # The name becomes a part of file names; a path with = in it has a slash before.
    return (name, file) if file and re.fullmatch(r"[\w .+-]+", name) else ("", text)


def _about(text: str) -> tuple[str, str]:
    name, equals, told = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TEXT")
    return name, told


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 65535")
    return value


def _quality(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{value} is not between 1 and 100")
    return value


def _convert(options: argparse.Namespace) -> None:
    # Imported here so that --help and mistakes in the command line answer at once.
    from ppcn_jax.weights.convert import convert

    model = convert(options.source, options.destination, dict(options.about))
    print(f"wrote {printable(options.destination)}: {model.name}, {model.parameters:,} parameters")


def _photos(options: argparse.Namespace) -> None:
    if options.quality and options.format in ("png", "tiff"):
        options.refuse(f"{options.format} has no --quality")
    start = time.monotonic()
    from ppcn_jax.photos.paths import plan_jobs

    jobs = plan_jobs(options.paths, options.output, options.format)
    from ppcn_jax.weights.load import load_model

    model = load_model(options.model)
    from ppcn_jax.inference.jobs import run_jobs
    from ppcn_jax.inference.photo import make_treatment

    treatment = make_treatment(options.subcommand, model)
    _make_folder(options.output)
    failures = run_jobs(
        jobs,
        treatment,
        format=options.format,
        quality=options.quality,
        overwrite=options.overwrite,
        compare=options.compare,
    )
    for failure in failures:
        print(f"ppcn-jax {options.subcommand}: {failure}", file=sys.stderr)
    done, word = len(jobs) - len(failures), _USES[options.subcommand][0]
    failed = f", {len(failures)} failed" if failures else ""
    photos = "1 photo" if done == 1 else f"{done:,} photos"
    print(f"{word} {photos} in {time.monotonic() - start:.0f} s{failed}")
    if failures:
        sys.exit(1)


def _serve(options: argparse.Namespace) -> None:
    from ppcn_jax.serving.server import serve
    from ppcn_jax.weights.load import SHIPPED, load_model

    named = options.model or [("", name) for name in SHIPPED]
    models = ((name, load_model(file)) for name, file in named)
    serve(models, host=options.host, port=options.port)


def _make_folder(output: str) -> None:
    folder = pathlib.Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--output {folder}: no permission to write there")
