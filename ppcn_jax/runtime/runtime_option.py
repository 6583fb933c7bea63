"""The option `--runtime` of commands; light, so that --help and usage errors respond at once."""

import argparse
import importlib.util

from ppcn_jax.runtime.errors import InputError, install_hint

RUNTIMES = ("auto", "jax", "openvino")


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add the option to a command."""
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=RUNTIMES[0],
        help="what computes; auto is OpenVINO if it is installed and JAX has no accelerator "
        "(default: %(default)s)",
    )


def check_runtime(runtime: str) -> None:
    """Raise InputError if a runtime is unknown, or its package is not installed."""
    if runtime not in RUNTIMES:
        raise InputError(f"the runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    if runtime == "openvino" and not has_openvino():
        raise InputError(f"the runtime openvino needs its package: {install_hint('openvino')}")


def has_openvino() -> bool:
    """Check for OpenVINO, without importing it."""
    return importlib.util.find_spec("openvino") is not None
