"""Photos in a folder and its subfolders, split into training and testing."""

import pathlib
from collections.abc import Sequence

import numpy as np

from data.errors import DataError
from data.pictures.fingerprints import fingerprint
from data.pictures.folders import hold_out, pictures_below
from data.pictures.images import SUFFIXES, read
from data.pictures.stored_frames import file_identity
from data.storage import is_remote


class PhotoFolder:
    """Picture files, decoded by Pillow when needed.

    Attributes:
      names: paths relative to the folder.
    """

    def __init__(self, folder: pathlib.Path, names: Sequence[str]):
        """Set the folder and the paths, without reading a file."""
        self.names = names
        self._folder = folder

    def __getitem__(self, index: int) -> np.ndarray:
        """Decode a photo: uint8 [H, W, 3]."""
        return read(self._folder / self.names[index])

    def identity(self, index: int) -> str:
        """A text that changes with the photo's file; raises `OSError`."""
        return file_identity(self._folder / self.names[index])

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """The fingerprint of the photo's file; see `data.batching.source.FromFiles`."""
        return fingerprint(self._folder / self.names[index], thorough=thorough)


def photo_split(
    folder: pathlib.Path,
    test_folder: pathlib.Path | None,
    holdout: int,
    split: str,
    names: Sequence[str] | None = None,
) -> PhotoFolder:
    """The photos of one split, without reading any.

    Args:
      folder: searched with its subfolders.
      test_folder: searched for the test split. Photos in it are not used for training, even if it
        is inside `folder`. None holds out the last photos of `folder`.
      holdout: number of photos to hold out.
      split: "train" or "test".
      names: names in the split, if known; None searches the folders.

    Raises:
      DataError: if a folder is missing, or the split would be empty.
    """
    searched = test_folder if test_folder is not None and split == "test" else folder
    if names is not None:
        return PhotoFolder(searched, names)
    found = photo_names(searched)
    if test_folder is None:
        alternative = ", or set test_dir"
        found = hold_out(
            found, holdout, split, folder=folder, noun="photo", alternative=alternative
        )
    elif split == "train":
        tested = _resolved(test_folder)
        found = [name for name in found if not _resolved(folder / name).is_relative_to(tested)]
        if not found:
            raise DataError(
                f"all photos of {folder} are in {test_folder}, which leaves none for training"
            )
    return PhotoFolder(searched, found)


def _resolved(path: pathlib.Path) -> pathlib.Path:
    return path if is_remote(path) else path.resolve()


def photo_names(folder: pathlib.Path) -> list[str]:
    """Paths of the pictures in a folder and its subfolders, in natural order.

    See `pictures_below`.

    Raises:
      DataError: if there is no such folder, no picture in it, or part of it cannot be read.
    """
    names = pictures_below(folder)
    if not names:
        raise DataError(
            f"{folder} and its subfolders hold no pictures ({', '.join(sorted(SUFFIXES))}); put "
            "photos there or correct the path"
        )
    return names
