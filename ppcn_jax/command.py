"""The command `ppcn-jax`."""

import argparse
import pathlib
import re
import sys
import time
from collections.abc import Callable, Sequence

from ppcn_jax import __version__
from ppcn_jax.export.command import add_export
from ppcn_jax.pairing.command import add_pair
from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.files import make_output_folder
from ppcn_jax.runtime.malloc import keep_freed_memory

FORMATS = ("jpeg", "png", "webp", "tiff")
# For each photo command: the verb of its last line, its summary and its default model.
_USES = {
    "enhance": ("enhanced", "give phone photos the look of a better camera", "student"),
    "upscale": ("enlarged", "enlarge photos four times per side", "super_resolver"),
}
_MODELS = (
    "student, teacher or super_resolver (included), or the path of a weights file, workdir or "
    "released checkpoint"
)
_ABOUT = (
    "Each result keeps the name, format, quality, EXIF, color profile and alpha of the photo, and "
    "is upright. Photos in a folder keep their relative paths. A photo that fails does not stop "
    "the others: it is reported at the end, with exit status 1."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand; an error that the user can fix ends in one line and exit status 1."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()  # before JAX starts threads
    try:
        options.run(options)
    except (InputError, OSError) as error:
        message = "\n".join(map(printable, str(error).split("\n")))
        sys.exit(f"ppcn-jax {options.subcommand}: {message}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ppcn-jax", description="Photo enhancement with PPCN.")
    parser.add_argument("--version", action="version", version=f"ppcn-jax {__version__}")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    convert = subcommands.add_parser(
        "convert",
        help="write any trained network as one weights file",
        description="Read a released TensorFlow checkpoint (its prefix), a training workdir or a "
        "weights file, and write a weights file (safetensors). The network is recognized from the "
        "content.",
    )
    convert.add_argument("source", metavar="SOURCE", help="checkpoint prefix, workdir or file")
    convert.add_argument("destination", metavar="DESTINATION", help="file to write, *.safetensors")
    convert.add_argument(
        "--about",
        metavar="NAME=TEXT",
        action="append",
        default=[],
        type=_about,
        help="an entry for the file's metadata, in addition to data, steps and seed of a workdir; "
        "can be repeated, and an empty TEXT removes the entry",
    )
    convert.set_defaults(run=_convert)
    for use, (_, summary, _) in _USES.items():
        _add_photo_arguments(subcommands.add_parser(use, help=summary, description=_ABOUT), use)
    _add_serve_arguments(subcommands.add_parser("serve", help="local web page for single photos"))
    add_export(subcommands)
    add_pair(subcommands)
    return parser


def _add_photo_arguments(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="photo, folder (with subfolders) or pattern"
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for the results")
    parser.add_argument("--model", default=_USES[use][2], help=f"{_MODELS} (default: %(default)s)")
    if use == "enhance":
        parser.add_argument(
            "--strength",
            type=_share,
            default=1.0,
            metavar="S",
            help="0 to 1: share of the network's result in a blend with the photo (default: 1)",
        )
    parser.add_argument("--format", choices=FORMATS, help="output format (default: each photo's)")
    parser.add_argument(
        "--quality",
        type=_integer(1, 100),
        metavar="N",
        help="1 to 100, for JPEG, WebP and HEIC (default: each photo's)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also write NAME.compare.png with before and after side by side",
    )
    parser.set_defaults(run=_photos, usage_error=parser.error)


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        type=_named,
        help=f"{_MODELS}, also as NAME=PATH; repeat it to offer several (default: the three "
        "included networks)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, which only this computer can reach)",
    )
    parser.add_argument(
        "--port",
        type=_integer(0, 65_535),
        default=7860,
        help="0 chooses a free one (default: %(default)s)",
    )
    parser.set_defaults(run=_serve)


def _named(text: str) -> tuple[str, str]:
    name, _, file = text.partition("=")
    # The name becomes part of file names. In a path with "=", a slash comes first.
    return (name, file) if file and re.fullmatch(r"[\w .+-]+", name) else ("", text)


def _about(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TEXT")
    return name, value


def _integer(low: int, high: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return int(text)

    return integer


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)


def _convert(options: argparse.Namespace) -> None:
    # Subcommands import what they need, so that --help and usage errors respond at once.
    from ppcn_jax.weights.load import convert

    model = convert(options.source, options.destination, dict(options.about))
    print(f"wrote {printable(options.destination)}: {model.name}, {model.parameters:,} parameters")


def _photos(options: argparse.Namespace) -> None:
    if options.quality and options.format in ("png", "tiff"):
        options.usage_error(f"{options.format} has no --quality")
    start = time.monotonic()
    from ppcn_jax.photos.paths import plan_jobs

    jobs = plan_jobs(options.paths, options.output, options.format)
    from ppcn_jax.weights.load import load_model

    model = load_model(options.model)
    from ppcn_jax.inference.jobs import run_jobs
    from ppcn_jax.inference.photo import make_operation

    operation = make_operation(options.subcommand, model, getattr(options, "strength", 1.0))
    make_output_folder(pathlib.Path(options.output))
    failures, spoiled = run_jobs(
        jobs,
        operation,
        format=options.format,
        quality=options.quality,
        overwrite=options.overwrite,
        compare=options.compare,
    )
    for line in [*spoiled, *failures]:
        print(f"ppcn-jax {options.subcommand}: {line}", file=sys.stderr)
    done, verb = len(jobs) - len(failures), _USES[options.subcommand][0]
    failed = f", {len(failures)} failed" if failures else ""
    photos = "1 photo" if done == 1 else f"{done:,} photos"
    print(f"{verb} {photos} in {time.monotonic() - start:.0f} s{failed}")
    if failures:
        sys.exit(1)


def _serve(options: argparse.Namespace) -> None:
    from ppcn_jax.serving.server import serve
    from ppcn_jax.weights.load import SHIPPED, load_model

    named = options.model or [("", name) for name in SHIPPED]
    models = ((name, load_model(file)) for name, file in named)
    serve(models, host=options.host, port=options.port)
