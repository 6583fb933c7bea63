"""Photos anywhere below a folder, split into training and testing."""

import pathlib
from collections.abc import Sequence

import numpy as np

from data.errors import DataError
from data.pictures.folders import natural_key
from data.pictures.images import SUFFIXES, read


class PhotoFolder:
    """Picture files, decoded by Pillow when asked for.

    Attributes:
      names: paths relative to the folder.
    """

    def __init__(self, folder: pathlib.Path, names: Sequence[str]):
        """Remember where the photos are.

        Args:
          folder: the folder.
          names: paths relative to it.
        """
        self.names = names
        self._folder = folder

    def __getitem__(self, index: int) -> np.ndarray:
        """Decode a photo: uint8 [H, W, 3]."""
        return read(self._folder / self.names[index])


def photo_split(
    folder: pathlib.Path,
    test_folder: pathlib.Path | None,
    holdout: int,
    split: str,
    names: Sequence[str] | None = None,
) -> PhotoFolder:
    """The photos of one split.

    Args:
      folder: searched with all its subfolders.
      test_folder: likewise, for the test split; what it holds is not trained on even if it lies
        below `folder`. None keeps the last photos of `folder` for testing.
      holdout: how many these are.
      split: "train" or "test".
      names: those of the split, where they are known; None lists the folders.

    Returns:
      The photos, not yet read.

    Raises:
      DataError: if a folder is missing or the split would be empty.
    """
    if names is not None:
        return PhotoFolder(test_folder if test_folder and split == "test" else folder, names)
    if test_folder is not None:
        if split == "test":
            return PhotoFolder(test_folder, photo_names(test_folder))
        return PhotoFolder(folder, _outside(folder, test_folder))
    names = photo_names(folder)
    if not 0 <= holdout < len(names):
        raise DataError(
            f"{folder} holds {len(names)} photos, so holdout={holdout} leaves none to train on; "
            f"choose a holdout from 0 to {len(names) - 1}, or a test_dir"
        )
    if split == "test" and holdout == 0:
        raise DataError(
            f"holdout=0 leaves no photo of {folder} to test on; set it to 1 or more, or set test_dir"
        )
    border = len(names) - holdout
    return PhotoFolder(folder, names[:border] if split == "train" else names[border:])


def photo_names(folder: pathlib.Path) -> list[str]:
    """The picture files below a folder, hidden ones and hidden folders left out.

    Args:
      folder: the folder.

    Returns:
      Their paths relative to it, in natural order.

    Raises:
      DataError: if there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; check the data folder's path")
    relative = (path.relative_to(folder) for path in folder.rglob("*"))
    names = [
        path.as_posix()
        for path in relative
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)
    ]
    if not names:
        raise DataError(
            f"{folder} and its subfolders hold no pictures ({', '.join(sorted(SUFFIXES))}); put "
            "photos there or correct the path"
        )
    return sorted(names, key=natural_key)


def _outside(folder: pathlib.Path, test_folder: pathlib.Path) -> list[str]:
    tested = test_folder.resolve()
    names = [
        name for name in photo_names(folder) if not (folder / name).resolve().is_relative_to(tested)
    ]
    if not names:
        raise DataError(
            f"all photos of {folder} lie in {test_folder}, which leaves none to train on"
        )
    return names
