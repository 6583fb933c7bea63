"""Process many photo files; a photo that fails does not stop the others."""

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ppcn_jax.inference.enhance import useful_batch
from ppcn_jax.inference.photo import Operation, check_size, judge, process_photos
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.paths import Job
from ppcn_jax.photos.read import Photo, read_photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.photos.strips import save_png, strip
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.files import write_bytes

# Errors that end one photo but not the others.
_FAILURES = (InputError, MemoryError, jax.errors.JaxRuntimeError)
# Limit, per device, of photos in memory that wait for others of their size.
_WAITING = 4

Work = tuple[Job, Photo]


class Report(NamedTuple):
    """One line for each photo that failed, with the reason, and for each whose colors are spoiled."""

    failures: list[str]
    spoiled: list[str]


def run_jobs(
    jobs: Sequence[Job],
    operation: Operation,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    compare: bool = False,
) -> Report:
    """Process photos and write the results, with a progress bar if stderr is a terminal.

    With several devices, photos of one size are processed at the same time, one per device. Format
    and quality are those of each photo by default. `compare` also writes `NAME.compare.png` with
    before and after side by side. Enhanced photos are judged; see `judge`.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    report = Report([], [])
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("", total=len(jobs))

        def fail(job: Job, error: BaseException) -> None:
            report.failures.append(_reason(job, error))
            progress.advance(bar)

        def read() -> Iterator[Work]:
            for job in jobs:
                progress.update(bar, description=printable(job.source.name))
                try:
                    yield job, _read(job, operation, format, overwrite, compare)
                except _FAILURES as error:
                    fail(job, error)

        for group in _groups(read(), operation):
            try:
                results = process_photos([photo for _, photo in group], operation)
            except _FAILURES as error:
                for job, _ in group:
                    fail(job, error)
                continue
            for (job, photo), result in zip(group, results, strict=True):
                try:
                    _write(job, result, format, quality)
                    if compare:
                        _write_comparison(job, photo, result, operation)
                except _FAILURES as error:
                    fail(job, error)
                else:
                    if damage := judge(photo, result, operation):
                        advice = f"{job.source}: {damage.advise('--strength')}"
                        report.spoiled.append(printable(advice))
                    progress.advance(bar)
    return report


def compare_path(path: pathlib.Path) -> pathlib.Path:
    """Path of the comparison beside a result; keeps the suffix, as x.jpg and x.png may coexist."""
    return path.with_name(f"{path.name}.compare.png")


def _groups(photos: Iterator[Work], operation: Operation) -> Iterator[list[Work]]:
    """Group photos of one shape and type, up to the number that is useful to process at once."""
    waiting: dict[tuple, list[Work]] = {}
    for job, photo in photos:
        key = photo.pixels.shape, photo.pixels.dtype
        group = waiting.setdefault(key, [])
        group.append((job, photo))
        if len(group) == useful_batch(photo.pixels.shape, operation.scale):
            yield waiting.pop(key)
        elif sum(map(len, waiting.values())) > _WAITING * jax.local_device_count():
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _read(
    job: Job, operation: Operation, format: str | None, overwrite: bool, compare: bool
) -> Photo:
    for path in [job.destination, *([compare_path(job.destination)] if compare else [])]:
        if os.path.lexists(path) and not overwrite:
            raise InputError(f"{job.source} is skipped: {path} exists (--overwrite replaces it)")
    photo = read_photo(job.source)
    try:
        check_output(photo, format or photo.format, operation.scale)
        check_size(photo)
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    return photo


def _write(job: Job, result: Photo, format: str | None, quality: int | None) -> None:
    try:
        content = encode_photo(result, format or result.format, quality)
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    try:
        write_bytes(job.destination, content)
    except OSError as error:
        raise _write_error(job, job.destination, error) from error


def _write_comparison(job: Job, before: Photo, after: Photo, operation: Operation) -> None:
    path = compare_path(job.destination)
    left = to_uint8(before.pixels)
    if operation.scale > 1:
        left = enlarge(left, operation.scale)
    try:
        save_png(path, strip([[left, to_uint8(after.pixels)]], operation.labels))
    except OSError as error:
        raise _write_error(job, path, error) from error


def _write_error(job: Job, path: pathlib.Path, error: OSError) -> InputError:
    return InputError(f"{job.source}: {path} cannot be written: {error.strerror or error}")


def _reason(job: Job, error: BaseException) -> str:
    if isinstance(error, InputError):
        return printable(str(error))
    reason = str(error).partition("\n")[0] or "not enough memory"
    return printable(f"{job.source} cannot be processed: {reason}")
