"""Process many photo files; a photo that fails does not stop the others."""

import contextlib
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ppcn_jax.inference.enhance import useful_batch
from ppcn_jax.inference.photo import Operation, check_memory, check_size, judge, process_photos
from ppcn_jax.inference.runtimes import errors_of
from ppcn_jax.photos.carried import fit_metadata
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.paths import Job
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.photos.strips import save_png, strip
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.progress import heartbeat

# Bytes of a file name on all common file systems.
_LONGEST_NAME = 255
# Limit, per device, of photos in memory that wait for others of their size.
_WAITING = 4

Work = tuple[Job, Photo]


@dataclasses.dataclass
class Report:
    """What has become of the photos.

    Attributes:
        done: how many were processed.
        there: how many had a result already.
        failures: lines about photos that failed, with the reason.
        advice: lines about photos whose colors the network spoiled, and metadata that could not be
            kept.
    """

    done: int = 0
    there: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    advice: list[str] = dataclasses.field(default_factory=list)

    @property
    def handled(self) -> int:
        """How many photos are finished, one way or the other."""
        return self.done + self.there + len(self.failures)


def run_jobs(
    jobs: Sequence[Job],
    operation: Operation,
    *,
    quality: int | None = None,
    overwrite: bool = False,
    keep_times: bool = False,
) -> Report:
    """Process photos and write the results.

    Photos that have a result already are passed over. With several devices, photos of one size are
    processed at the same time, one per device. Enhanced photos are judged; see `judge`. A progress
    bar is shown if stderr is a terminal, otherwise a line every few seconds.

    Args:
        jobs: the photos.
        operation: what to do.
        quality: of the results; by default that of each photo.
        overwrite: process photos that have a result too, and replace it.
        keep_times: results have the times of the photos.
    """
    report, name = Report(), ""
    # Errors that end one photo but not the others.
    failures: tuple[type[Exception], ...] = (InputError, MemoryError, *errors_of(operation.runtime))
    with _progress(lambda: (report.handled, len(jobs), name)) as update:

        def fail(job: Job, error: BaseException) -> None:
            report.failures.append(_reason(job, error))
            update()

        def read() -> Iterator[Work]:
            nonlocal name
            for job in jobs:
                name = printable(job.source.name)
                update()
                try:
                    if not overwrite and _is_there(job, operation):
                        report.there += 1
                    else:
                        yield job, _read(job, operation, overwrite)
                except failures as error:
                    fail(job, error)

        for group in _groups(read(), operation):
            try:
                results = process_photos([photo for _, photo in group], operation)
            except failures as error:
                for job, _ in group:
                    fail(job, error)
                continue
            for (job, photo), result in zip(group, results, strict=True):
                try:
                    lost = _write(job, result, quality, keep_times)
                    if job.comparison:
                        _write_comparison(job, photo, result, operation)
                except failures as error:
                    fail(job, error)
                else:
                    advice = [f"the result lacks {'; '.join(lost)}"] if lost else []
                    if damage := judge(photo, result, operation):
                        advice.append(damage.advise("--strength"))
                    report.advice.extend(printable(f"{job.source}: {line}") for line in advice)
                    report.done += 1
                    update()
    return report


@contextlib.contextmanager
def _progress(state: Callable[[], tuple[int, int, str]]) -> Iterator[Callable[[], None]]:
    """Show how many photos of how many are finished, and a name; yields a function that updates."""
    console = Console(stderr=True)
    if not console.is_terminal:

        def line() -> str:
            done, total, name = state()
            return f"{done:,} of {total:,} photos are finished, now {name}"

        with heartbeat(line, sys.stderr):
            yield lambda: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")

        def update() -> None:
            done, total, name = state()
            bar.update(task, completed=done, total=total, description=name)

        yield update


def _groups(photos: Iterator[Work], operation: Operation) -> Iterator[list[Work]]:
    """Group photos of one shape and type, up to the number that is useful to process at once."""
    waiting: dict[tuple, list[Work]] = {}
    for job, photo in photos:
        key = photo.pixels.shape, photo.pixels.dtype
        group = waiting.setdefault(key, [])
        group.append((job, photo))
        useful = useful_batch(photo.pixels.shape, operation.scale, operation.runtime)
        if len(group) == useful:
            yield waiting.pop(key)
        elif sum(map(len, waiting.values())) > _WAITING * useful:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _is_there(job: Job, operation: Operation) -> bool:
    """Check if a photo has a result already; a comparison that is missing is written.

    Results appear when they are complete, so that one that exists was not interrupted.
    """
    if not os.path.isfile(job.destination):  # False for names that are too long
        return False
    if job.comparison and not os.path.lexists(job.comparison):
        before, after = read_photo(job.source), read_photo(job.destination)
        height, width = (operation.scale * side for side in before.pixels.shape[:2])
        if after.pixels.shape[:2] != (height, width):
            raise InputError(
                f"{job.destination} is no result for {job.source}, which would have "
                f"{width:,} x {height:,} px (--overwrite replaces it)"
            )
        _write_comparison(job, before, after, operation)
    return True


def _read(job: Job, operation: Operation, overwrite: bool) -> Photo:
    for path in filter(None, (job.destination, job.comparison)):
        if os.path.lexists(path) and not overwrite:
            raise InputError(f"{job.source} is skipped: {path} exists (--overwrite replaces it)")
        if (length := len(os.fsencode(path.name))) > _LONGEST_NAME:
            raise InputError(
                f"{job.source} is skipped: {path.name} would be a name of {length} bytes, and the "
                f"limit is {_LONGEST_NAME}; rename it"
            )
    photo = read_photo(job.source)
    try:
        check_output(photo, job.format or photo.format, operation.scale)
        check_size(photo.pixels)
        check_memory(photo, operation.scale)
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    return photo


def _write(job: Job, result: Photo, quality: int | None, keep_times: bool) -> list[str]:
    """Write a result; returns what of the photo's metadata it could not keep."""
    format = job.format or result.format
    try:
        content = encode_photo(result, format, quality)
    except InputError as error:
        raise InputError(f"{job.source} {error}") from error
    try:
        status = job.source.stat()
        times = (status.st_atime_ns, status.st_mtime_ns) if keep_times else None
        write_bytes(job.destination, content, times)
    except OSError as error:
        raise _write_error(job, job.destination, error) from error
    return [*result.notes, *fit_metadata(result, format).lost]


def _write_comparison(job: Job, before: Photo, after: Photo, operation: Operation) -> None:
    path = job.comparison
    assert path is not None
    left = to_uint8(before.pixels)
    if operation.scale > 1:
        left = enlarge(left, operation.scale)
    try:
        panels = strip([[left, to_uint8(after.pixels)]], operation.labels)
        save_png(path, panels, fit_metadata(before, "webp").photo.icc)  # a format of colors
    except OSError as error:
        raise _write_error(job, path, error) from error


def _write_error(job: Job, path: pathlib.Path, error: OSError) -> InputError:
    return InputError(f"{job.source}: {path} cannot be written: {error.strerror or error}")


def _reason(job: Job, error: BaseException) -> str:
    if isinstance(error, InputError):
        return printable(str(error))
    reason = str(error).partition("\n")[0] or "not enough memory"
    return printable(f"{job.source} cannot be processed: {reason}")
