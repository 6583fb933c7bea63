"""Many photos through one network: a bad one does not stop the others."""

import os
import pathlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ppcn_jax.inference.enhance import useful_batch
from ppcn_jax.inference.photo import Treatment, check_size, treat
from ppcn_jax.photos.paths import Job
from ppcn_jax.photos.read import Photo, read_photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.photos.strips import save_png, strip
from ppcn_jax.photos.write import check_output, encode_photo, to_8_bits
from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.files import write_bytes

# What ends one photo and not the others.
_FAILURES = (InputError, MemoryError, jax.errors.JaxRuntimeError)
# Photos that wait for others of their size, at most, per device.
_WAITING = 4

Work = tuple[Job, Photo]


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

    Several devices treat photos of one size together, each its own.

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

        def fail(job: Job, error: BaseException) -> None:
            failures.append(_reason(job, error))
            progress.advance(bar)

        def read() -> Iterator[Work]:
            for job in jobs:
                progress.update(bar, description=printable(job.source.name))
                try:
                    yield job, _read(job, treatment, format, overwrite, compare)
                except _FAILURES as error:
                    fail(job, error)

        for group in _groups(read(), treatment):
            try:
                results = treat([photo for _, photo in group], treatment)
            except _FAILURES as error:
                for job, _ in group:
                    fail(job, error)
                continue
            for (job, photo), result in zip(group, results, strict=True):
                try:
                    _write(job, result, format, quality)
                    if compare:
                        _write_comparison(job, photo, result, treatment)
                except _FAILURES as error:
                    fail(job, error)
                else:
                    progress.advance(bar)
    return failures


def compare_path(path: pathlib.Path) -> pathlib.Path:
    """Where the comparison of a result goes; the whole name, for x.jpg may lie beside x.heic.

    Args:
        path: of the result.

    Returns:
        The path of the PNG beside it.
    """
    return path.with_name(f"{path.name}.compare.png")


def _groups(photos: Iterator[Work], treatment: Treatment) -> Iterator[list[Work]]:
    """Photos of one size and type, as many as are worth treating together."""
    waiting: dict[tuple, list[Work]] = {}
    for job, photo in photos:
        shape, dtype = photo.levels.shape, photo.levels.dtype
        group = waiting.setdefault((shape, dtype), [])
        group.append((job, photo))
        if len(group) == useful_batch(shape, treatment.scale):
            yield waiting.pop((shape, dtype))
        elif sum(map(len, waiting.values())) > _WAITING * jax.local_device_count():
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _read(
    job: Job, treatment: Treatment, format: str | None, overwrite: bool, compare: bool
) -> Photo:
    for path in [job.destination, *([compare_path(job.destination)] if compare else [])]:
        if os.path.lexists(path) and not overwrite:
            raise InputError(f"{job.source} is left out: {path} exists (--overwrite replaces it)")
    photo = read_photo(job.source)
    try:
        check_output(photo, format or photo.format, treatment.scale)
        check_size(photo)
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    return photo


def _write(job: Job, result: Photo, format: str | None, quality: int | None) -> None:
    try:
        write_bytes(job.destination, encode_photo(result, format or result.format, quality))
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    except OSError as error:
        raise _unwritable(job, job.destination, error) from error


def _write_comparison(job: Job, before: Photo, after: Photo, treatment: Treatment) -> None:
    path = compare_path(job.destination)
    try:
        save_png(path, _side_by_side(before.levels, after.levels, treatment))
    except OSError as error:
        raise _unwritable(job, path, error) from error


def _unwritable(job: Job, path: pathlib.Path, error: OSError) -> InputError:
    return InputError(f"{job.source}: {path} cannot be written: {error.strerror or error}")


def _reason(job: Job, error: BaseException) -> str:
    if isinstance(error, InputError):
        return printable(str(error))
    reason = str(error).partition("\n")[0] or "not enough memory"
    return printable(f"{job.source} cannot be processed: {reason}")


def _side_by_side(before: np.ndarray, after: np.ndarray, treatment: Treatment) -> np.ndarray:
    left = to_8_bits(before)
    if treatment.scale > 1:
        left = enlarge(left, treatment.scale)
    return strip([[left, to_8_bits(after)]], treatment.labels)
