"""Which photos a command line names, and where the result of each is written."""

import collections
import glob
import itertools
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ppcn_jax.photos.formats import (
    ALL_SUFFIXES,
    RAW_SUFFIXES,
    long_result_name,
    result_format,
    result_name,
    searched_suffixes,
)
from ppcn_jax.runtime.errors import InputError, install_hint, printable
from ppcn_jax.runtime.storage import is_remote, objects_below

# A photo and the path of its result within the output folder.
_Found = tuple[pathlib.Path, pathlib.Path]


class Job(NamedTuple):
    """One photo and the file to write.

    Attributes:
        source: the photo.
        destination: its result.
        format: of the result; None is that of the photo.
        comparison: a picture of before and after to write as well.
    """

    source: pathlib.Path
    destination: pathlib.Path
    format: str | None = None
    comparison: pathlib.Path | None = None


class Plan(NamedTuple):
    """What a command line names.

    Attributes:
        jobs: the photos, each once.
        passed_over: how many other files their folders contain, by suffix.
    """

    jobs: list[Job]
    passed_over: dict[str, int]


def plan_jobs(
    paths: Sequence[str],
    output: str | os.PathLike,
    format: str | None = None,
    *,
    suffix: str = "",
    compare: bool = False,
) -> Plan:
    """Find the photos and choose the paths of their results.

    A photo below a folder keeps its relative path; a photo that is named directly or matched by a
    pattern (`*`, `?`, `[...]`, `**`) goes to the top of the output folder. Hidden files are
    skipped, and so are results of an earlier run if the output folder lies inside the input.

    Args:
        paths: photos, folders and patterns.
        output: the folder for the results.
        format: a key of `SUFFIXES`; changes the suffix of files of other formats. Photos that would
            then get one name get that of the photo with a second suffix, `x.png.jpg`.
        suffix: added to the names of the results, before the file suffix.
        compare: also choose paths for comparisons, `NAME.SUFFIX.compare.png`.

    Raises:
        InputError: a path matches nothing, or a result would replace a photo or another result
            (also if names differ in upper and lower case only), or would be written outside the
            output folder.
    """
    folder = pathlib.Path(output)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; name a folder")
    others: set[pathlib.Path] = set()
    found = {
        (source.resolve(), name): source
        for path in paths
        for source, name in _find(path, folder, others)
    }
    jobs = []
    for (_, name), source in found.items():
        result = result_format(name, format)
        jobs.append(Job(source, folder / result_name(name, result, suffix), result))
    counts = collections.Counter(_key(job.destination) for job in jobs)
    for index, (_, name) in enumerate(found):
        job = jobs[index]
        if counts[_key(job.destination)] > 1:
            longer = folder / long_result_name(name, job.format, suffix)
            job = job._replace(destination=longer)
        if compare:
            job = job._replace(comparison=compare_path(job.destination))
        jobs[index] = job
    _check_destinations(jobs, folder.resolve())
    return Plan(jobs, _by_suffix(others))


def find_photos(paths: Sequence[str]) -> list[pathlib.Path]:
    """Find the photos that a command line names, each once, in order.

    Raises InputError if a path matches nothing.
    """
    no_results = pathlib.Path(os.devnull)
    found = [source for path in paths for source, _ in _find(path, no_results, set())]
    return list({source.resolve(): source for source in found}.values())


def describe_passed_over(passed_over: dict[str, int]) -> str:
    """Say how many files of which suffixes were passed over: "11 files passed over: 4 .gif, ..."."""
    total = sum(passed_over.values())
    kinds = [f"{n:,} {suffix or 'without suffix'}" for suffix, n in passed_over.items()]
    text = f"{total:,} file{'s' if total > 1 else ''} passed over: {', '.join(kinds)}"
    if not set(RAW_SUFFIXES).isdisjoint(passed_over):
        text += f" (for camera raw, {install_hint('raw')})"
    return printable(text)


def compare_path(path: pathlib.Path) -> pathlib.Path:
    """Path of the comparison beside a result; keeps the suffix, as x.jpg and x.png may coexist."""
    return path.with_name(f"{path.name}.compare.png")


def photos_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Photos in a folder and its subfolders, sorted by folder and name, without hidden ones.

    Those in a bucket are sorted by their complete names. Linked folders follow in the end. A folder
    that is reached in several ways is searched once.
    """
    return filter(_is_photo, _files_below(folder))


def _find(path: str, output: pathlib.Path, others: set[pathlib.Path]) -> Iterator[_Found]:
    """Photos of one argument; files that are no photos are added to `others`."""
    named = pathlib.Path(path)
    if named.is_dir():
        yield from _find_in_folder(named, output, others)
    elif os.path.lexists(named):
        yield named, pathlib.Path(named.name)
    elif glob.has_magic(path):
        yield from _find_matches(path, output, others)
    else:
        raise InputError(f"{path} does not exist")


def _find_in_folder(
    folder: pathlib.Path, output: pathlib.Path, others: set[pathlib.Path]
) -> Iterator[_Found]:
    if folder.resolve() == output.resolve():
        raise InputError(f"--output {output} is the input folder; name another folder")
    photos = list(_photos_among(_files_below(folder), folder, output, others))
    if not photos:
        others_here = f"; {describe_passed_over(_by_suffix(others))}" if others else ""
        suffixes = ", ".join(sorted(ALL_SUFFIXES))
        raise InputError(f"{folder} contains no photos ({suffixes}){others_here}")
    for path in photos:
        yield path, path.relative_to(folder)


def _find_matches(
    pattern: str, output: pathlib.Path, others: set[pathlib.Path]
) -> Iterator[_Found]:
    parts = pathlib.Path(pattern).parts
    root = pathlib.Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    found = False
    for match in map(pathlib.Path, sorted(glob.glob(pattern, recursive=True))):
        # With **, files below a folder are matches themselves.
        below = _files_below(match) if match.is_dir() and "**" not in pattern else iter([match])
        for path in _photos_among(below, root, output, others):
            found = True
            yield path, path.relative_to(match if match.is_dir() else match.parent)
    if not found:
        raise InputError(f"the pattern {pattern} matches no photos")


def _photos_among(
    paths: Iterator[pathlib.Path],
    root: pathlib.Path,
    output: pathlib.Path,
    others: set[pathlib.Path],
) -> Iterator[pathlib.Path]:
    for path in paths:
        if _is_earlier_result(path, root, output):
            continue
        if _is_photo(path):
            yield path
        elif path.is_file():
            others.add(path.resolve())


def _files_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Whatever is in a folder and its subfolders and is no folder, see `photos_below`."""
    if is_remote(folder):
        for path in objects_below(folder):
            if not any(part.startswith(".") for part in path.relative_to(folder).parts):
                yield path
        return

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
                if not name.startswith("."):
                    yield pathlib.Path(parent, name)


def _by_suffix(paths: Iterable[pathlib.Path]) -> dict[str, int]:
    return dict(sorted(collections.Counter(path.suffix.lower() for path in paths).items()))


def _is_photo(path: pathlib.Path) -> bool:
    if is_remote(path):  # an object is a file
        return path.suffix.lower() in ALL_SUFFIXES
    return path.suffix.lower() in searched_suffixes() and path.is_file()


def _is_earlier_result(path: pathlib.Path, root: pathlib.Path, output: pathlib.Path) -> bool:
    within_root = root.resolve() in output.resolve().parents
    return within_root and output.resolve() in path.resolve().parents


def _key(path: pathlib.Path) -> str:
    """What paths have in common that are one file on some systems: letters, not their case."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _check_destinations(jobs: Sequence[Job], folder: pathlib.Path) -> None:
    sources = {job.source.resolve() for job in jobs}
    results: dict[str, Job] = {}
    for job in jobs:
        if not job.destination.parent.resolve().is_relative_to(folder):
            raise InputError(
                f"{job.destination} leads outside --output {folder} through a link; remove the "
                "link or name another folder"
            )
        for path in filter(None, (job.destination, job.comparison)):
            if path.resolve() in sources:
                raise InputError(
                    f"the result of {job.source} would replace the photo {path}; name another "
                    "--output"
                )
            other = results.setdefault(_key(path), job)
            if other is not job:
                raise InputError(_clash(other, job, path))


def _clash(job: Job, other: Job, path: pathlib.Path) -> str:
    both = f"{job.source} and {other.source} would both be written to {path}"
    if job.source.parent.resolve() == other.source.parent.resolve():
        return f"{both} (some systems ignore upper and lower case); rename one of them"
    return (
        f"{both}; name their common parent folder, which keeps relative paths, or run the command "
        "for each of them with its own --output"
    )
