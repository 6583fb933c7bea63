"""The commands `ppcn-jax enhance` and `ppcn-jax upscale`."""

import argparse
import importlib.util
import json
import pathlib
import sys
import time
from typing import NamedTuple

from ppcn_jax.runtime.arguments import integer, share
from ppcn_jax.runtime.errors import InputError, install_hint
from ppcn_jax.runtime.files import check_file_name, make_output_folder
from ppcn_jax.runtime.runtime_option import add_runtime, check_runtime

FORMATS = ("jpeg", "png", "webp", "tiff", "avif", "heic", "jxl")
# Formats without a quality, and packages that others need, with their extras.
_NO_QUALITY = ("png", "tiff")
_PACKAGES = {"heic": ("pillow_heif", "heic"), "jxl": ("pillow_jxl", "jxl")}
_ABOUT = (
    "Each result keeps the name, format, quality, EXIF, color profile and alpha of the photo, and "
    "is upright. Photos in a folder keep their relative paths. A photo that fails does not stop "
    "the others: it is reported at the end, with exit status 1."
)


class _Use(NamedTuple):
    """What one of the commands is called in texts, and which networks it offers.

    Attributes:
        done: the verb of its last line.
        summary: for `ppcn-jax --help`.
        included: networks of the package; the first one is the default.
        others: networks that it takes besides.
    """

    done: str
    summary: str
    included: tuple[str, ...]
    others: str


USES = {
    "enhance": _Use(
        "enhanced",
        "give phone photos the look of a better camera",
        ("student", "teacher"),
        "an enhancer: student, teacher, DPED's network or SRCNN",
    ),
    "upscale": _Use(
        "enlarged",
        "enlarge photos four times per side",
        ("super_resolver",),
        "a network that enlarges: super-resolver, VDSR or SRCNN",
    ),
}


def add_photo_commands(subcommands: argparse._SubParsersAction) -> None:
    """Add the subcommands to those of `ppcn-jax`."""
    for name, use in USES.items():
        _add_arguments(subcommands.add_parser(name, help=use.summary, description=_ABOUT), name)


def _add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    use = USES[name]
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="photo, folder (with subfolders) or pattern"
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for the results")
    parser.add_argument(
        "--model",
        default=use.included[0],
        help=f"{' or '.join(use.included)} (included), or the path of a weights file, workdir or "
        f"released checkpoint of {use.others} (default: %(default)s)",
    )
    if name == "enhance":
        parser.add_argument(
            "--strength",
            type=share,
            default=1.0,
            metavar="S",
            help="0 to 1: share of the network's result in a blend with the photo (default: 1)",
        )
    parser.add_argument("--format", choices=FORMATS, help="output format (default: each photo's)")
    parser.add_argument(
        "--quality",
        type=integer(1, 100),
        metavar="N",
        help="1 to 100, for all formats but PNG, TIFF and BMP (default: each photo's; 90 or 95 where "
        "a file does not say)",
    )
    parser.add_argument(
        "--suffix",
        type=_name_part,
        metavar="TEXT",
        help="added to the names of the results: with _better, photo.jpg becomes photo_better.jpg",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing results (default: photos that have one are passed over)",
    )
    parser.add_argument(
        "--keep-times", action="store_true", help="give the results the times of the photos"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also write NAME.SUFFIX.compare.png with before and after side by side",
    )
    add_runtime(parser)
    parser.add_argument(
        "--json", action="store_true", help="write the last line, with the numbers, as JSON"
    )
    parser.set_defaults(run=_run, usage_error=parser.error)


def _name_part(text: str) -> str:
    if not text or set(text) & {"/", "\\", "\0"}:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a part of a file name")
    return text


def _run(options: argparse.Namespace) -> None:
    if options.quality and options.format in _NO_QUALITY:
        options.usage_error(f"{options.format} has no --quality")
    package, extra = _PACKAGES.get(options.format, ("", ""))
    if package and not importlib.util.find_spec(package):
        raise InputError(f"--format {options.format} needs {package}: {install_hint(extra)}")
    check_runtime(options.runtime)
    suffix = options.suffix or ""
    check_file_name(f"x{suffix}.jpg", "--suffix")
    start = time.monotonic()
    # The command imports what it needs, so that --help and usage errors respond at once.
    from ppcn_jax.photos.paths import describe_passed_over, plan_jobs

    jobs, passed_over = plan_jobs(
        options.paths,
        options.output,
        options.format,
        suffix=suffix,
        compare=options.compare,
    )
    from ppcn_jax.weights.load import load_model

    model = load_model(options.model)
    from ppcn_jax.inference.jobs import run_jobs
    from ppcn_jax.inference.photo import make_operation
    from ppcn_jax.inference.runtimes import describe_runtime

    strength = getattr(options, "strength", 1.0)
    operation = make_operation(options.subcommand, model, strength, options.runtime)
    make_output_folder(pathlib.Path(options.output))

    def say(line: str) -> None:
        print(f"ppcn-jax {options.subcommand}: {line}", file=sys.stderr)

    try:
        report = run_jobs(
            jobs,
            operation,
            quality=options.quality,
            overwrite=options.overwrite,
            keep_times=options.keep_times,
        )
    except KeyboardInterrupt:
        if not options.overwrite:
            say("interrupted; the same command goes on with the photos that have no result")
        raise
    for line in [*report.advice, *report.failures]:
        say(line)
    if passed_over:
        say(describe_passed_over(passed_over))
    seconds = time.monotonic() - start
    if options.json:
        summary = {
            "command": options.subcommand,
            "done": report.done,
            "there_already": report.there,
            "failed": len(report.failures),
            "failures": report.failures,
            "advice": report.advice,
            "passed_over": passed_over,
            "runtime": operation.runtime,
            "seconds": round(seconds, 3),
        }
        print(json.dumps(summary))
    else:
        photos = "1 photo" if report.done == 1 else f"{report.done:,} photos"
        verb, them = ("is", "it") if report.there == 1 else ("are", "them")
        there = (
            f", {report.there:,} {verb} there already (--overwrite replaces {them})"
            if report.there
            else ""
        )
        failed = f", {len(report.failures):,} failed" if report.failures else ""
        by = f" by {describe_runtime(operation.runtime)}" if operation.runtime != "jax" else ""
        print(f"{USES[options.subcommand].done} {photos} in {seconds:.0f} s{by}{there}{failed}")
    if report.failures:
        sys.exit(1)
