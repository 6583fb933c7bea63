"""Which photo of the camera shows the same scene as which photo of the phone."""

import datetime
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ppcn_jax.photos.exif import capture_time
from ppcn_jax.photos.formats import ALL_SUFFIXES
from ppcn_jax.photos.read import Header
from ppcn_jax.runtime.errors import InputError, printable

_MOST_GUESSES = 200  # clock offsets that are tried out
# Name pairs whose clocks differ from the usual by more may have met by chance.
_CHANCE = datetime.timedelta(minutes=10)


class Scene(NamedTuple):
    """A scene, named after the phone's photo, and the two files that show it."""

    name: str
    phone: pathlib.Path
    camera: pathlib.Path


class Matching(NamedTuple):
    """The scenes of two folders.

    Attributes:
        scenes: in the order of their names.
        notes: lines for the user: how files were matched, and which have no partner.
        doubts: by name of a scene, why its two files may not belong together.
    """

    scenes: list[Scene]
    notes: list[str]
    doubts: dict[str, str]


def list_photos(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[str]]:
    """List the photos in a folder, and lines about what else is there and not used.

    Raises InputError if the folder does not exist or holds no photos, or if two photos differ only
    in suffix or case.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder" if folder.exists() else f"{folder} is missing")
    photos: dict[str, pathlib.Path] = {}
    others, subfolders = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            subfolders.append(path.name)
        elif path.suffix.lower() not in ALL_SUFFIXES:
            others.append(path)
        elif (key := path.stem.casefold()) in photos:
            raise InputError(
                f"{photos[key]} and {path.name} name the same scene; keep one of them in the folder"
            )
        else:
            photos[key] = path
    notes = []
    if others:
        suffixes = ", ".join(sorted({path.suffix.lower() or path.name for path in others}))
        notes.append(f"{folder}: files that are no photos are skipped: {len(others)} ({suffixes})")
    if subfolders:
        notes.append(f"{folder}: subfolders are not searched: {', '.join(subfolders)}")
    if not photos:
        hint = f"; {notes[-1].partition(': ')[2]}" if notes else ""
        raise InputError(f"{folder} contains no photos ({', '.join(sorted(ALL_SUFFIXES))}){hint}")
    return list(photos.values()), notes


def match_photos(
    phone: Sequence[pathlib.Path],
    camera: Sequence[pathlib.Path],
    headers: Mapping[pathlib.Path, Header],
    *,
    by_time: bool,
    tolerance: float,
) -> Matching:
    """Match photos by name without suffix, and those that are left by capture time.

    Args:
        phone: the phone's photos.
        camera: the camera's photos.
        headers: those of all photos that could be read.
        by_time: do not match by name, which both devices may count alike.
        tolerance: seconds by which the times of a scene may differ, beside the clocks' offset.

    Raises:
        InputError: if no photo has a partner.
    """
    times = {
        path: taken for path, header in headers.items() if (taken := capture_time(header.block))
    }
    pairs = {} if by_time else _by_name(phone, camera)
    doubts = _doubts(pairs, times)
    notes = [f"{_count(len(pairs))} matched by name"] if pairs else []
    left = [path for path in phone if path not in pairs]
    right = [path for path in camera if path not in pairs.values()]
    timed = [path for path in left if path in times], [path for path in right if path in times]
    if all(timed):
        found, offset = _by_time(*timed, times, tolerance)
        if found:
            pairs |= found
            notes.append(
                f"{_count(len(found))} matched by capture time; the camera's clock is "
                f"{_duration(offset)} the phone's (estimated)"
            )
    if not pairs:
        raise InputError(
            "no photo has a partner: name both photos of a scene alike"
            + (
                f", or allow for more than {tolerance:g} s between them with --tolerance"
                if all(timed)
                else "; matching by time needs EXIF capture times in both folders"
            )
        )
    partners = set(pairs.values())
    for paths in ([p for p in phone if p not in pairs], [p for p in camera if p not in partners]):
        if paths:
            names = printable(", ".join(path.name for path in paths))
            notes.append(f"{paths[0].parent}: no partner for {names}")
    scenes = [Scene(path.stem, path, pairs[path]) for path in sorted(pairs)]
    return Matching(scenes, notes, doubts)


def _by_name(
    phone: Sequence[pathlib.Path], camera: Sequence[pathlib.Path]
) -> dict[pathlib.Path, pathlib.Path]:
    named = {path.stem.casefold(): path for path in camera}
    return {path: named[key] for path in phone if (key := path.stem.casefold()) in named}


def _doubts(
    pairs: Mapping[pathlib.Path, pathlib.Path], times: Mapping[pathlib.Path, datetime.datetime]
) -> dict[str, str]:
    """Find pairs with one name whose capture times do not belong together."""
    differences = {
        path: (times[partner] - times[path]).total_seconds()
        for path, partner in pairs.items()
        if path in times and partner in times
    }
    if len(differences) < 3:
        return {}
    usual = float(np.median(list(differences.values())))
    return {
        path.stem: (
            f"the names match, but the clocks of this pair differ by "
            f"{datetime.timedelta(seconds=round(abs(difference - usual)))} from the others'; if "
            "both devices count alike by chance, use --by-time"
        )
        for path, difference in differences.items()
        if abs(difference - usual) > _CHANCE.total_seconds()
    }


def _by_time(
    phone: Sequence[pathlib.Path],
    camera: Sequence[pathlib.Path],
    times: Mapping[pathlib.Path, datetime.datetime],
    tolerance: float,
) -> tuple[dict[pathlib.Path, pathlib.Path], float]:
    """Match by time with the clock offset in seconds that gives most pairs, then the closest."""
    start = min(times[path] for path in phone)
    left, right = (
        np.array([(times[path] - start).total_seconds() for path in paths])
        for paths in (phone, camera)
    )
    best, offset = (0, 0.0), 0.0
    matched: list[tuple[int, int]] = []
    for guess in _likely_offsets(left, right, tolerance):
        # The first guess comes from one pair; the second from all that it matches.
        for _ in range(2):
            pairs = _nearest(left + guess, right, tolerance)
            if not pairs:
                break
            differences = np.array([right[j] - left[i] for i, j in pairs])
            score = len(pairs), -float(np.abs(differences - guess).sum())
            if score > best:
                best, offset, matched = score, float(guess), pairs
            guess = np.median(differences)
    return {phone[i]: camera[j] for i, j in matched}, offset


def _likely_offsets(phone: np.ndarray, camera: np.ndarray, tolerance: float) -> np.ndarray:
    """Differences between times that have most others close by, the likeliest first."""
    differences = np.sort((camera[None] - phone[:, None]).ravel())
    low = np.searchsorted(differences, differences - tolerance, "left")
    high = np.searchsorted(differences, differences + tolerance, "right")
    order = np.argsort(low - high, kind="stable")
    # Neighbors are near-duplicates: take them apart by a tenth of the tolerance.
    _, first = np.unique(np.round(differences[order] / (tolerance / 10)), return_index=True)
    return differences[order][np.sort(first)[:_MOST_GUESSES]]


def _nearest(phone: np.ndarray, camera: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Pairs (i, j) that are each other's nearest and at most `tolerance` apart."""
    distances = np.abs(phone[:, None] - camera[None])
    return [
        (i, int(j))
        for i, j in enumerate(distances.argmin(1))
        if distances[:, j].argmin() == i and distances[i, j] <= tolerance
    ]


def _count(number: int) -> str:
    return "1 scene" if number == 1 else f"{number:,} scenes"


def _duration(seconds: float) -> str:
    direction = "ahead of" if seconds >= 0 else "behind"
    return f"{datetime.timedelta(seconds=round(abs(seconds)))} {direction}"
