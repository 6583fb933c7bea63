"""The command `ppcn-jax pair`."""

import argparse
import importlib.util
import math
import pathlib
import sys
import time

from ppcn_jax.runtime.errors import InputError, install_hint, printable

_ABOUT = (
    "Align photos that a phone and a camera took of the same scenes, for training with "
    "data.source=pairs. Photos of a scene have the same name, or else similar capture times. The "
    "camera's photo is warped onto the phone's. The output folder gets input/ and target/ with "
    "frames of equal size, windows.json with the parts that are fit to train on, and report.html. "
    "A scene that fails does not stop the others: it is reported, with exit status 1. Running the "
    "command again pairs only what is new or has changed."
)


def add_pair(subcommands: argparse._SubParsersAction) -> None:
    """Add the subcommand to those of `ppcn-jax`."""
    parser = subcommands.add_parser(
        "pair", help="align the photos of a phone and a camera for training", description=_ABOUT
    )
    parser.add_argument("phone", metavar="PHONE", help="folder with the phone's photos")
    parser.add_argument("camera", metavar="CAMERA", help="folder with the camera's photos")
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for the pairs")
    parser.add_argument(
        "--format",
        choices=("png", "jpeg"),
        default="png",
        help="of the pairs; jpeg has quality 95 and full color resolution (default: %(default)s)",
    )
    parser.add_argument(
        "--by-time",
        action="store_true",
        help="match by capture time alone, for devices that name their photos alike",
    )
    parser.add_argument(
        "--tolerance",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="between the capture times of a scene, beside the difference of the clocks, which is "
        "estimated (default: 60)",
    )
    parser.set_defaults(run=_pair)


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def _pair(options: argparse.Namespace) -> None:
    if not importlib.util.find_spec("cv2"):
        raise InputError(f"pairing needs opencv-python-headless: {install_hint('pair')}")
    start = time.monotonic()
    # Heavy imports follow the checks, so that --help and usage errors respond at once.
    from ppcn_jax.pairing.run import run_pairs

    output = pathlib.Path(options.output)
    paired, failures = run_pairs(
        pathlib.Path(options.phone),
        pathlib.Path(options.camera),
        output,
        format=options.format,
        by_time=options.by_time,
        tolerance=options.tolerance,
    )
    for failure in failures:
        print(f"ppcn-jax pair: {failure}", file=sys.stderr)
    failed = f", {len(failures)} failed" if failures else ""
    scenes = "1 scene is" if paired == 1 else f"{paired:,} scenes are"
    print(
        f"{scenes} paired in {printable(str(output))} ({time.monotonic() - start:.0f} s){failed}; "
        f"look at {printable(str(output / 'report.html'))}"
    )
    if failures:
        sys.exit(1)
