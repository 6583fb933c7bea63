"""The command `ppcn-jax lut`."""

import argparse
import math
import pathlib
import sys
from typing import TYPE_CHECKING

import numpy as np

from ppcn_jax.photos.lut_files import (
    LARGEST_SIZE,
    check_lut_path,
    hald_colors,
    write_cube,
    write_hald,
)
from ppcn_jax.runtime.errors import InputError, printable

if TYPE_CHECKING:
    from ppcn_jax.inference.photo import Operation

_ABOUT = (
    "Write what an enhancer does to colors as a lookup table for photo and video editors: a .cube "
    "file, or a HaldCLUT if the name ends in .png. The network adapts to each photo, and sharpens; "
    "the table maps every color to one color. How much of the network's change it holds is printed "
    "for each photo: most for a single photo, less for a folder."
)
_SAMPLES = 250_000  # pixels of a photo that are compared, at most
_ALL_SAMPLES = 20_000_000  # pixels of all photos together, to limit the memory


def add_lut(subcommands: argparse._SubParsersAction) -> None:
    """Add the subcommand to those of `ppcn-jax`."""
    parser = subcommands.add_parser(
        "lut", help="write the look of an enhancer as a color lookup table", description=_ABOUT
    )
    parser.add_argument(
        "paths", metavar="PHOTO", nargs="+", help="photo, folder (with subfolders) or pattern"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=pathlib.Path, required=True, help="*.cube or *.png"
    )
    parser.add_argument(
        "--size",
        metavar="N",
        type=_size,
        default=33,
        help=f"nodes per axis, 2 to {LARGEST_SIZE} (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default="student",
        help="student, teacher, or the path of a weights file, workdir or released checkpoint "
        "(default: %(default)s)",
    )
    parser.set_defaults(run=_lut)


def _size(text: str) -> int:
    if not 2 <= int(text) <= LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"{text} is not between 2 and {LARGEST_SIZE}")
    return int(text)


def _lut(options: argparse.Namespace) -> None:
    # The command imports what it needs, so that --help responds at once.
    from ppcn_jax.inference.lut import Fit, explained
    from ppcn_jax.inference.photo import make_operation
    from ppcn_jax.photos.paths import find_photos
    from ppcn_jax.weights.load import load_model

    check_lut_path(options.output)
    sources = find_photos(options.paths)
    model = load_model(options.model)
    operation = make_operation("enhance", model)
    fit = Fit(options.size)
    most = min(_SAMPLES, _ALL_SAMPLES // len(sources))
    samples = []
    for number, source in enumerate(sources, start=1):
        try:
            samples.append((source, *_compare(source, operation, most)))
        except InputError as error:
            print(f"ppcn-jax lut: {printable(str(error))}; it is skipped", file=sys.stderr)
            continue
        fit.add(*samples[-1][1:])
        if len(sources) > 1:
            print(f"{number} of {len(sources)}: {printable(str(source))}", file=sys.stderr)
    if not samples:
        raise InputError("none of the photos could be used")
    table = fit.solve()
    if options.output.suffix.lower() == ".cube":
        write_cube(options.output, table.nodes, f"ppcn-jax {model.name}")
    else:
        write_hald(options.output, table.apply(hald_colors(options.size)))
    shares = [explained(table, before, after) for _, before, after in samples]
    for (source, *_), share in zip(samples, shares, strict=True):
        print(f"{printable(str(source))}: {share:.0%} of the network's change")
    print(f"wrote {printable(str(options.output))} from {len(samples)} photo(s)")
    if len(samples) < len(sources):
        sys.exit(1)


def _compare(
    source: pathlib.Path, operation: "Operation", most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` evenly spaced pixels before and after: sRGB, float32 `[P, 3]` in [0, 1]."""
    from ppcn_jax.inference.photo import check_size, process_photos
    from ppcn_jax.photos.color_space import color_space, convert_to_srgb
    from ppcn_jax.photos.levels import to_float
    from ppcn_jax.photos.read import read_photo

    photo = read_photo(source)
    try:
        check_size(photo.pixels)
    except InputError as error:
        raise InputError(f"{source} {error}") from error
    (result,) = process_photos([photo], operation)
    height, width = photo.pixels.shape[:2]
    step = max(1, math.ceil((height * width / most) ** 0.5))
    space = color_space(photo.icc)  # tables are for sRGB
    before, after = (
        to_float(convert_to_srgb(space, each.pixels[::step, ::step])) for each in (photo, result)
    )
    return before.reshape(-1, 3), after.reshape(-1, 3)
