"""Which photos a command line names, and where the result of each is written."""

import glob
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ppcn_jax.photos.read import ALL_SUFFIXES, SUFFIXES
from ppcn_jax.runtime.errors import InputError

# A photo and the path of its result within the output folder.
_Found = tuple[pathlib.Path, pathlib.Path]


class Job(NamedTuple):
    """One photo to read and the file to write."""

    source: pathlib.Path
    destination: pathlib.Path


def plan_jobs(paths: Sequence[str], output: str | os.PathLike, format: str | None) -> list[Job]:
    """Find the photos and choose the paths of their results.

    A photo below a folder keeps its relative path; a photo that is named directly or matched by a
    pattern (`*`, `?`, `[...]`, `**`) goes to the top of the output folder. Hidden files are
    skipped, and so are results of an earlier run if the output folder lies inside the input. A
    format, a key of `SUFFIXES`, changes the suffix of files of other formats.

    Raises InputError if a path matches nothing, or if a result would replace a photo or another
    result or would be written outside the output folder.
    """
    folder = pathlib.Path(output)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; name a folder")
    jobs: dict[tuple[pathlib.Path, pathlib.Path], Job] = {}
    for path in paths:
        for source, name in _find(path, folder):
            if format and name.suffix.lower() not in SUFFIXES[format]:
                name = name.with_suffix(SUFFIXES[format][0])
            job = Job(source, folder / name)
            jobs.setdefault((source.resolve(), job.destination), job)
    _check_destinations(jobs, folder.resolve())
    return list(jobs.values())


def _find(path: str, output: pathlib.Path) -> Iterator[_Found]:
    named = pathlib.Path(path)
    if named.is_dir():
        yield from _find_in_folder(named, output)
    elif os.path.lexists(named):
        yield named, pathlib.Path(named.name)
    elif glob.has_magic(path):
        yield from _find_matches(path, output)
    else:
        raise InputError(f"{path} does not exist")


def _find_in_folder(folder: pathlib.Path, output: pathlib.Path) -> Iterator[_Found]:
    if folder.resolve() == output.resolve():
        raise InputError(f"--output {output} is the input folder; name another folder")
    photos = [path for path in photos_below(folder) if not _is_earlier_result(path, folder, output)]
    if not photos:
        raise InputError(f"{folder} contains no photos ({', '.join(sorted(ALL_SUFFIXES))})")
    for path in photos:
        yield path, path.relative_to(folder)


def _find_matches(pattern: str, output: pathlib.Path) -> Iterator[_Found]:
    parts = pathlib.Path(pattern).parts
    root = pathlib.Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    found = False
    for match in map(pathlib.Path, sorted(glob.glob(pattern, recursive=True))):
        # With **, files below a folder are matches themselves.
        below = photos_below(match) if match.is_dir() and "**" not in pattern else [match]
        for path in below:
            if _is_photo(path) and not _is_earlier_result(path, root, output):
                found = True
                yield path, path.relative_to(match if match.is_dir() else match.parent)
    if not found:
        raise InputError(f"the pattern {pattern} matches no photos")


def photos_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Photos in a folder and its subfolders, sorted by folder and name, without hidden ones.

    Linked folders follow in the end. A folder that is reached in several ways is searched once.
    """

    def fail(error: OSError) -> None:
        raise error

    searched: set[str] = set()
    links = [str(folder)]
    while links:
        for parent, folders, names in os.walk(links.pop(0), onerror=fail):
            real = os.path.realpath(parent)
            if real in searched:
                folders.clear()
                continue
            searched.add(real)
            visible = sorted(name for name in folders if not name.startswith("."))
            linked = [name for name in visible if os.path.islink(os.path.join(parent, name))]
            links += [os.path.join(parent, name) for name in linked]
            folders[:] = [name for name in visible if name not in linked]
            for name in sorted(names):
                path = pathlib.Path(parent, name)
                if not name.startswith(".") and _is_photo(path):
                    yield path


def _is_photo(path: pathlib.Path) -> bool:
    return path.suffix.lower() in ALL_SUFFIXES and path.is_file()


def _is_earlier_result(path: pathlib.Path, root: pathlib.Path, output: pathlib.Path) -> bool:
    within_root = root.resolve() in output.resolve().parents
    return within_root and output.resolve() in path.resolve().parents


def _check_destinations(
    jobs: dict[tuple[pathlib.Path, pathlib.Path], Job], folder: pathlib.Path
) -> None:
    sources = {source for source, _ in jobs}
    results: dict[pathlib.Path, Job] = {}
    for job in jobs.values():
        if not job.destination.parent.resolve().is_relative_to(folder):
            raise InputError(
                f"{job.destination} leads outside --output {folder} through a link; remove the "
                "link or name another folder"
            )
        if job.destination.resolve() in sources:
            raise InputError(
                f"the result of {job.source} would replace the photo {job.destination}; name "
                "another --output"
            )
        other = results.setdefault(job.destination, job)
        if other is not job:
            raise InputError(
                f"{other.source} and {job.source} would both be written to {job.destination}; name "
                "their common parent folder, which keeps relative paths, or run the command for "
                "each of them"
            )
