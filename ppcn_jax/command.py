"""The command `ppcn-jax`."""

import argparse
import re
import sys
from collections.abc import Sequence

from ppcn_jax import __version__
from ppcn_jax.export.command import add_export
from ppcn_jax.inference.lut_command import add_lut
from ppcn_jax.inference.photo_commands import add_photo_commands
from ppcn_jax.pairing.command import add_pair
from ppcn_jax.runtime.arguments import integer
from ppcn_jax.runtime.errors import InputError, escape_what_cannot_be_printed, printable
from ppcn_jax.runtime.files import check_file_name
from ppcn_jax.runtime.malloc import keep_freed_memory
from ppcn_jax.runtime.runtime_option import add_runtime, check_runtime


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand; an error that the user can fix ends in one line and exit status 1."""
    escape_what_cannot_be_printed()
    parser, subcommands = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # argparse would show the usage of `ppcn-jax` alone
        subcommands.choices[options.subcommand].error(
            f"unrecognized arguments: {' '.join(unknown)}"
        )
    keep_freed_memory()  # before JAX starts threads
    try:
        for name, field in (("output", "--output"), ("destination", "DESTINATION")):
            check_file_name(getattr(options, name, ""), field)
        options.run(options)
    except (InputError, OSError) as error:
        message = "\n".join(map(printable, str(error).split("\n")))
        sys.exit(f"ppcn-jax {options.subcommand}: {message}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> tuple[argparse.ArgumentParser, argparse._SubParsersAction]:
    parser = argparse.ArgumentParser(prog="ppcn-jax", description="Photo enhancement with PPCN.")
    parser.add_argument("--version", action="version", version=f"ppcn-jax {__version__}")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    add_photo_commands(subcommands)
    _add_serve_arguments(subcommands.add_parser("serve", help="local web page for single photos"))
    add_lut(subcommands)
    add_pair(subcommands)
    add_export(subcommands)
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
    return parser, subcommands


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        type=_named,
        help="student, teacher or super_resolver (included), or the path of a weights file, workdir "
        "or released checkpoint, also as NAME=PATH; repeat it to offer several (default: the three "
        "included networks)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, which only this computer can reach)",
    )
    parser.add_argument(
        "--port",
        type=integer(0, 65_535),
        default=7860,
        help="0 chooses a free one (default: %(default)s)",
    )
    add_runtime(parser)
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


def _convert(options: argparse.Namespace) -> None:
    # Subcommands import what they need, so that --help and usage errors respond at once.
    from ppcn_jax.weights.load import convert

    model = convert(options.source, options.destination, dict(options.about))
    print(f"wrote {printable(options.destination)}: {model.name}, {model.parameters:,} parameters")


def _serve(options: argparse.Namespace) -> None:
    check_runtime(options.runtime)
    from ppcn_jax.serving.server import serve
    from ppcn_jax.weights.load import SHIPPED, load_model

    named = options.model or [("", name) for name in SHIPPED]
    models = ((name, load_model(file)) for name, file in named)
    serve(models, host=options.host, port=options.port, runtime=options.runtime)
