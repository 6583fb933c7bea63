"""Folders of high-resolution photos for testing super-resolution, such as Set5 and Set14."""

import io
import os
import pathlib

import numpy as np
from PIL import Image

from data.errors import DataError
from data.pictures.images import read
from data.pictures.progress import parallel
from data.sources.high_resolution import check_size
from data.sources.photo_folder import photo_names
from data.storage import is_remote, read_bytes, to_path

_GRAY = ("1", "L", "I;16", "I", "F")


class TestSet:
    """The photos of a folder and its subfolders.

    Attributes:
      names: paths relative to the folder.
    """

    __test__ = False  # pytest would collect a class of this name

    def __init__(self, folder: pathlib.Path):
        """Find the photos and decode each one, so that no photo fails later.

        Raises:
          DataError: if there is no such folder or no photo in it, or for all photos that do not
            decode or are too small.
        """
        self.names = photo_names(folder)
        self._folder = folder
        parallel(self._check, range(len(self.names)), "Decoding the photos")

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Decode a photo: uint8 [H, W, 3], or [H, W, 1] if its file is gray."""
        path = self._folder / self.names[index]
        photo = read(path)
        with Image.open(io.BytesIO(read_bytes(path))) as image:
            return photo[..., :1] if image.mode in _GRAY else photo

    def _check(self, index: int) -> None:
        check_size(str(self._folder / self.names[index]), self[index].shape, crop=None)


def open_test_sets(dirs: str) -> dict[str, TestSet]:
    """Open several test sets.

    Args:
      dirs: their folders, separated by commas.

    Returns:
      The sets by the names of their folders, or by their paths where two names are the same.

    Raises:
      DataError: if no folder is given, or one cannot be used.
    """
    given = [folder.strip() for folder in dirs.split(",") if folder.strip()]
    if not given:
        raise DataError("dir is empty: set it to one or several folders of high-resolution photos")
    folders = [
        to_path(folder if is_remote(folder) else os.path.normpath(folder)) for folder in given
    ]
    names = [folder.name for folder in folders]
    return {
        str(folder) if names.count(folder.name) > 1 else folder.name: TestSet(folder)
        for folder in folders
    }
