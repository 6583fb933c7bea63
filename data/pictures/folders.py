"""Folders of pictures: find them, hold out a test split, check sizes."""

import os
import pathlib
import re

from data.errors import DataError, plural
from data.pictures.images import SUFFIXES
from data.storage import is_remote, objects_below


def pictures_below(folder: pathlib.Path, without: pathlib.Path | None = None) -> list[str]:
    """Paths of the pictures in a folder and its subfolders, in natural order (2.jpg before 10.jpg).

    The paths are relative to the folder. Hidden files, hidden folders and files without a picture's
    suffix are ignored. Links are followed; of several ways to the same folder, one without a link
    is preferred and the others are ignored.

    Args:
      folder: the folder.
      without: a folder that is skipped if it lies in `folder`.

    Raises:
      DataError: if there is no such folder, or a folder or a link below it cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; check the data folder's path and layout")
    if is_remote(folder):
        return _pictures_in_bucket(folder, without)
    names: list[str] = []
    found = set() if without is None else {os.path.realpath(without)}
    folders, links = [folder], list[pathlib.Path]()
    while folders or links:
        if not folders:
            links.sort(key=lambda link: natural_key(str(link)), reverse=True)
        place = folders.pop() if folders else links.pop()
        real = os.path.realpath(place)
        if real in found and place != folder:
            continue
        found.add(real)
        prefix = "" if place == folder else f"{place.relative_to(folder).as_posix()}/"
        for entry in _visible(place):
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(place / entry.name)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                names.append(prefix + entry.name)
            elif entry.is_symlink() and not os.path.exists(entry):
                raise DataError(
                    f"{place / entry.name} is a link to {os.readlink(entry)}, which does not exist; "
                    "restore it, or remove the link"
                )
    return sorted(names, key=natural_key)


def _pictures_in_bucket(folder: pathlib.Path, without: pathlib.Path | None) -> list[str]:
    """`pictures_below` in a bucket, which has no links."""
    skipped: tuple[str, ...] = (".",)
    if without is not None and without.is_relative_to(folder):
        skipped += (f"{without.relative_to(folder).as_posix()}/",)
    names = [
        name
        for name in objects_below(folder)
        if os.path.splitext(name)[1].lower() in SUFFIXES
        and not name.startswith(skipped)
        and "/." not in name
    ]
    return sorted(names, key=natural_key)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """A sort key that compares the numbers in a name by value."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def hold_out(
    names: list[str],
    count: int,
    split: str,
    *,
    folder: pathlib.Path,
    noun: str = "pair",
    field: str = "holdout",
    alternative: str = "",
) -> list[str]:
    """The names of one split: the last `count` names are for testing, the others for training.

    The test split is not random because neighboring frames of a shoot are near-duplicates.

    Args:
      names: all names, in natural order.
      count: number of names to hold out.
      split: "train" or "test".
      folder: the folder of the files, for messages.
      noun: what a name stands for, for messages.
      field: the field that sets `count`, for messages.
      alternative: another way to get a test split, for messages.

    Raises:
      DataError: if the split would be empty.
    """
    total = len(names)
    if not 0 <= count < total:
        allowed = f"from 0 to {total - 1}" if total > 1 else "0"
        raise DataError(
            f"{field} must be {allowed}, not {count}: {folder} holds {plural(total, noun)}, and "
            f"at least one is needed for training{alternative}"
        )
    if split == "test" and count == 0:
        raise DataError(
            f"{field}=0 leaves no {noun} of {folder} for testing; set it to 1 or more{alternative}"
        )
    return names[: total - count] if split == "train" else names[total - count :]


def check_pair(
    name: str,
    input_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    crop: int | None,
    scale: int = 1,
) -> None:
    """Raise `DataError` if the sizes of a pair do not fit, or a training crop does not.

    The sizes must be equal, or those of the target `scale` times those of the input.
    """
    enlarged = (input_shape[0] * scale, input_shape[1] * scale, *input_shape[2:])
    if target_shape not in (input_shape, enlarged):
        sizes = "one size" if scale == 1 else f"one size, or to a target {scale} times as large"
        raise DataError(
            f"{name}: the input is {_size(input_shape)} and the target {_size(target_shape)}; "
            f"align them to {sizes}, or remove the pair"
        )
    check_crop(name, target_shape, crop)


def check_crop(name: str, shape: tuple[int, ...], crop: int | None) -> None:
    """Raise `DataError` if a picture is smaller than the training crops."""
    if crop is not None and min(shape[:2]) < crop:
        raise DataError(
            f"{name} is {_size(shape)}, smaller than the crop of {crop}; use a smaller crop or "
            "remove the file"
        )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _visible(folder: pathlib.Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be listed ({error.strerror}); make it readable, or move it elsewhere"
        ) from error
