"""The command `ppcn-jax`."""

import argparse
import sys
from collections.abc import Sequence

from ppcn_jax.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand; what the user can mend ends in one line and exit status 1.

    Args:
        arguments: of the command line.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (InputError, OSError) as error:
        sys.exit(f"ppcn-jax {options.subcommand}: {error}")


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
    convert.set_defaults(run=_convert)
    return parser


def _convert(options: argparse.Namespace) -> None:
    # Imported here so that --help and mistakes in the command line answer at once.
    from ppcn_jax.convert import convert

    model = convert(options.source, options.destination)
    print(f"wrote {options.destination}: {model.name}, {model.parameters:,} parameters")
