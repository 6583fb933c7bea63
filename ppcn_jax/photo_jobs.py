"""Many photos through one network, each on its own: a bad one does not stop the others."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ppcn_jax.errors import InputError
from ppcn_jax.files import write_bytes
from ppcn_jax.inference import enhance_levels, scale_of, upscale_levels
from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.networks import ENHANCERS, SUPER_RESOLVERS, Model
from ppcn_jax.photo_encoding import check_output, encode_photo, to_8_bits
from ppcn_jax.photo_files import Photo, read_photo
from ppcn_jax.photo_paths import Job
from ppcn_jax.pictures import save_png, strip
from ppcn_jax.resize import enlarge

_BAND = 1024  # rows that are made gray at once, for the memory


@dataclasses.dataclass(frozen=True)
class Treatment:
    """What is done to every photo.

    Attributes:
        apply: levels `[H, W, 3]` to levels of the same type, `[scale H, scale W, 3]`.
        scale: how many times larger a photo becomes.
        labels: of the two pictures that are compared.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    scale: int
    labels: tuple[str, str]


def make_treatment(use: str, model: Model) -> Treatment:
    """Choose what is done.

    Args:
        use: "enhance" or "upscale".
        model: the network.

    Returns:
        The treatment.

    Raises:
        InputError: a network for something else.
    """
    if use == "enhance":
        model.check_use(ENHANCERS, "enhance")
        return Treatment(functools.partial(enhance_levels, model=model), 1, ("before", "after"))
    model.check_use(SUPER_RESOLVERS, "enlarge")
    apply = functools.partial(upscale_levels, model=model)
    return Treatment(apply, scale_of(model), ("bicubic", model.name.replace("_", " ")))


def run_jobs(
    jobs: Sequence[Job],
    treatment: Treatment,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    compare: bool = False,
) -> list[str]:
    """Treat photos and write the results, with a progress bar where there is a terminal.

    Args:
        jobs: what to read and to write.
        treatment: what to do.
        format: to be written; None keeps each photo's own.
        quality: of the files, 1 to 100; None keeps each photo's own.
        overwrite: replace files that exist.
        compare: also write `NAME.compare.png`, before and after side by side.

    Returns:
        Why a photo failed, a line for each that did.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    failures = []
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(bar, description=job.source.name)
            try:
                _run_job(job, treatment, format, quality, overwrite, compare)
            except InputError as error:
                failures.append(str(error))
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                reason = str(error).partition("\n")[0] or "not enough memory"
                failures.append(f"{job.source} cannot be processed: {reason}")
            progress.advance(bar)
    return failures


def treat(photo: Photo, treatment: Treatment) -> Photo:
    """One photo's result.

    Where all three channels are equal, they stay so: of the network's colors, luma is taken.
    Alpha is no business of the network; it is enlarged bicubically.

    Args:
        photo: what was read.
        treatment: what to do.

    Returns:
        The photo with new pixels.

    Raises:
        InputError: a photo too small for the networks.
    """
    height, width = photo.levels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"has {width} x {height} px; the networks need at least {SMALLEST_SIDE} px a side"
        )
    levels = treatment.apply(photo.levels)
    if _is_neutral(photo.levels):
        levels = _neutral(levels)
    alpha = photo.alpha
    if alpha is not None and treatment.scale > 1:
        alpha = _enlarge_alpha(alpha, treatment.scale)
    return dataclasses.replace(photo, levels=levels, alpha=alpha)


def compare_path(path: pathlib.Path) -> pathlib.Path:
    """Where the comparison of a result goes; the whole name, for x.jpg may lie beside x.heic.

    Args:
        path: of the result.

    Returns:
        The path of the PNG beside it.
    """
    return path.with_name(f"{path.name}.compare.png")


def _run_job(
    job: Job,
    treatment: Treatment,
    format: str | None,
    quality: int | None,
    overwrite: bool,
    compare: bool,
) -> None:
    results = [job.destination, *([compare_path(job.destination)] if compare else [])]
    for path in results:
        if os.path.lexists(path) and not overwrite:
            raise InputError(f"{job.source} is left out: {path} exists (--overwrite replaces it)")
    photo = read_photo(job.source)
    form = format or photo.format
    try:
        check_output(photo, form, treatment.scale)
        result = treat(photo, treatment)
        content = encode_photo(result, form, quality)
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    try:
        write_bytes(job.destination, content)
        if compare:
            save_png(results[1], _side_by_side(photo.levels, result.levels, treatment))
    except OSError as error:
        raise InputError(
            f"{job.source}: {job.destination} cannot be written: {error.strerror or error}"
        ) from error


def _is_neutral(levels: np.ndarray) -> bool:
    red, green, blue = np.moveaxis(levels, -1, 0)
    # Most photos show in their first row that they are not.
    return all(
        np.array_equal(red[rows], green[rows]) and np.array_equal(red[rows], blue[rows])
        for rows in (slice(1), slice(None))
    )


def _neutral(levels: np.ndarray) -> np.ndarray:
    """Luma of ITU-R BT.601, as Pillow has it, in all three channels."""
    gray = np.empty_like(levels)
    for top in range(0, len(levels), _BAND):
        red, green, blue = np.moveaxis(levels[top : top + _BAND].astype(np.uint32), -1, 0)
        luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
        gray[top : top + _BAND] = luma[..., None].astype(levels.dtype)
    return gray


def _enlarge_alpha(alpha: np.ndarray, scale: int) -> np.ndarray:
    if alpha.dtype == np.uint8:
        return enlarge(alpha[..., None], scale)[..., 0]
    size = (scale * alpha.shape[1], scale * alpha.shape[0])
    enlarged = Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(enlarged), 0, 65535)).astype(np.uint16)


def _side_by_side(before: np.ndarray, after: np.ndarray, treatment: Treatment) -> np.ndarray:
    left = to_8_bits(before)
    if treatment.scale > 1:
        left = enlarge(left, treatment.scale)
    return strip([[left, to_8_bits(after)]], treatment.labels)
