"""Which photos a command line names, and where each one's result goes."""

import dataclasses
import glob
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence

from ppcn_jax.photos.read import SUFFIXES
from ppcn_jax.runtime.errors import InputError

_ALL_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
_Found = tuple[pathlib.Path, pathlib.Path]


@dataclasses.dataclass(frozen=True)
class Job:
    """One photo to be read and the file to be written.

    Attributes:
        source: the photo.
        destination: the file.
    """

    source: pathlib.Path
    destination: pathlib.Path


def plan_jobs(paths: Sequence[str], output: str | os.PathLike, format: str | None) -> list[Job]:
    """Find the photos.

    A photo of a folder keeps its place below it; one that is named, or matched by a pattern, goes
    straight into the output folder. Hidden files are passed over, and so are results of an
    earlier run in an output folder that lies within the input.

    Args:
        paths: photos, folders and patterns (`*`, `?`, `[...]` and `**`).
        output: the folder for the results.
        format: a key of `SUFFIXES`, which renames what is of another; None keeps the names.

    Returns:
        The jobs, in the order of the paths, then of the names.

    Raises:
        InputError: nothing is found for a path, or a result would replace a photo or another
            result, or would be written outside the output folder.
        OSError: a folder cannot be read.
    """
    folder = pathlib.Path(output)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; name a folder")
    jobs: dict[tuple[pathlib.Path, pathlib.Path], Job] = {}
    for path in paths:
        for source, name in _found(path, folder):
            job = Job(source, folder / _renamed(name, format))
            jobs.setdefault((source.resolve(), job.destination), job)
    _check_results(jobs, folder.resolve())
    return list(jobs.values())


def _found(path: str, output: pathlib.Path) -> Iterator[_Found]:
    """Photos with the name that each has in the output folder."""
    named = pathlib.Path(path)
    if named.is_dir():
        yield from _in_folder(named, output)
    elif os.path.lexists(named):
        yield named, pathlib.Path(named.name)
    elif glob.has_magic(path):
        yield from _matching(path, output)
    else:
        raise InputError(f"{path} does not exist")


def _in_folder(folder: pathlib.Path, output: pathlib.Path) -> Iterator[_Found]:
    if folder.resolve() == output.resolve():
        raise InputError(f"--output {output} is the folder of the photos itself; name another")
    photos = [path for path in _walk(folder) if not _is_earlier_result(path, folder, output)]
    if not photos:
        raise InputError(f"{folder} holds no photos ({', '.join(sorted(_ALL_SUFFIXES))})")
    for path in photos:
        yield path, path.relative_to(folder)


def _matching(pattern: str, output: pathlib.Path) -> Iterator[_Found]:
    parts = pathlib.Path(pattern).parts
    root = pathlib.Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    found = False
    for match in map(pathlib.Path, sorted(glob.glob(pattern, recursive=True))):
        # What ** matches below a folder is matched by itself.
        below = _walk(match) if match.is_dir() and "**" not in pattern else [match]
        for path in below:
            if _is_photo(path) and not _is_earlier_result(path, root, output):
                found = True
                yield path, path.relative_to(match if match.is_dir() else match.parent)
    if not found:
        raise InputError(f"the pattern {pattern} matches no photos")


def _walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = pathlib.Path(parent, name)
            if not name.startswith(".") and _is_photo(path):
                yield path


def _is_photo(path: pathlib.Path) -> bool:
    return path.suffix.lower() in _ALL_SUFFIXES and path.is_file()


def _is_earlier_result(path: pathlib.Path, root: pathlib.Path, output: pathlib.Path) -> bool:
    within_root = root.resolve() in output.resolve().parents
    return within_root and output.resolve() in path.resolve().parents


def _renamed(name: pathlib.Path, format: str | None) -> pathlib.Path:
    if format is None or name.suffix.lower() in SUFFIXES[format]:
        return name
    return name.with_suffix(SUFFIXES[format][0])


def _check_results(
    jobs: dict[tuple[pathlib.Path, pathlib.Path], Job], folder: pathlib.Path
) -> None:
    sources = {source for source, _ in jobs}
    results: dict[pathlib.Path, Job] = {}
    for job in jobs.values():
        if not job.destination.parent.resolve().is_relative_to(folder):
            raise InputError(
                f"{job.destination} leads out of --output {folder} through a link; remove the link "
                "or name another folder"
            )
        if job.destination.resolve() in sources:
            raise InputError(
                f"the result of {job.source} would replace the photo {job.destination}; name "
                "another --output"
            )
        other = results.setdefault(job.destination, job)
        if other is not job:
            raise InputError(
                f"{other.source} and {job.source} would both become {job.destination}; name the "
                "folder above them, whose structure is kept, or run the command for each"
            )
