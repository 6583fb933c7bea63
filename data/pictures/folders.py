"""Folders of pictures: find pairs, check their sizes, hold out a test split."""

import pathlib
import re
from collections.abc import Collection

from data.errors import DataError, plural
from data.pictures.images import SUFFIXES


def paired_names(inputs: pathlib.Path, targets: pathlib.Path) -> list[str]:
    """File names that two folders share, in natural order (2.jpg before 10.jpg).

    Hidden files and files without a picture's suffix are ignored.

    Raises:
      DataError: if a folder is missing or empty, or a picture has no partner.
    """
    input_names, target_names = _pictures(inputs), _pictures(targets)
    _check_partners(inputs, input_names - target_names, targets)
    _check_partners(targets, target_names - input_names, inputs)
    if not input_names:
        raise DataError(f"{inputs} holds no pictures; put pairs into it and into {targets}")
    return sorted(input_names, key=natural_key)


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
    name: str, input_shape: tuple[int, ...], target_shape: tuple[int, ...], crop: int | None
) -> None:
    """Raise `DataError` if the sizes of a pair differ or a training crop does not fit."""
    if input_shape != target_shape:
        raise DataError(
            f"{name}: the input is {_size(input_shape)} and the target {_size(target_shape)}; "
            "align them to one size or remove the pair"
        )
    check_crop(name, input_shape, crop)


def check_crop(name: str, shape: tuple[int, ...], crop: int | None) -> None:
    """Raise `DataError` if a picture is smaller than the training crops."""
    if crop is not None and min(shape[:2]) < crop:
        raise DataError(
            f"{name} is {_size(shape)}, smaller than the crop of {crop}; use a smaller crop or "
            "remove the file"
        )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _pictures(folder: pathlib.Path) -> set[str]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; check the data folder's path and layout")
    return {
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    }


def _check_partners(folder: pathlib.Path, alone: Collection[str], other: pathlib.Path) -> None:
    if alone:
        first = min(alone, key=natural_key)
        more = f" ({len(alone)} pictures of this folder have none)" if len(alone) > 1 else ""
        raise DataError(
            f"{folder / first} has no partner {other / first}{more}; add the partner under the "
            "same file name or remove the picture"
        )
