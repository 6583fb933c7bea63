"""Which pictures of two folders are pairs."""

import pathlib
import re
from collections.abc import Collection

from data.errors import DataError
from data.pictures.images import SUFFIXES


def paired_names(inputs: pathlib.Path, targets: pathlib.Path) -> list[str]:
    """The file names that two folders share.

    Hidden files and files that are not pictures by their suffix are ignored.

    Args:
      inputs: folder of the input pictures.
      targets: folder of their targets.

    Returns:
      The names in natural order (2.jpg before 10.jpg).

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


def _pictures(folder: pathlib.Path) -> set[str]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; check the data folder's path and layout")
    return {
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    }


def _check_partners(folder: pathlib.Path, lonely: Collection[str], other: pathlib.Path) -> None:
    if lonely:
        first = min(lonely, key=natural_key)
        more = f" (nor have {len(lonely) - 1} more)" if len(lonely) > 1 else ""
        raise DataError(
            f"{folder / first} has no partner {other / first}{more}; add the partner of the same "
            "file name or remove the picture"
        )
