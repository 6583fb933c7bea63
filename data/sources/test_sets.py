"""Folders of high-resolution photos to test super-resolution on, such as Set5 and Set14."""

import os
import pathlib

import numpy as np
from PIL import Image

from data.errors import DataError
from data.pictures.images import read
from data.sources.high_resolution import SMALLEST_TEST_SIDE
from data.sources.photo_folder import photo_names

_GRAY = ("1", "L", "I;16", "I", "F")


class TestSet:
    """The photos of a folder.

    Attributes:
      names: paths relative to the folder.
    """

    __test__ = False  # pytest takes it for tests otherwise

    def __init__(self, folder: pathlib.Path):
        """Find the photos and decode each once, so that none fails later.

        Args:
          folder: searched with all its subfolders.

        Raises:
          DataError: no such folder, no photos, or one that does not decode or is too small.
        """
        self.names = photo_names(folder)
        self._folder = folder
        for index, name in enumerate(self.names):
            height, width, _ = self[index].shape
            if min(height, width) < SMALLEST_TEST_SIDE:
                raise DataError(
                    f"{folder / name} is {width}x{height} pixels, too small to be tested on; use "
                    f"photos of at least {SMALLEST_TEST_SIDE} pixels a side"
                )

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Decode a photo: uint8 [H, W, 3], or [H, W, 1] if its file is gray."""
        path = self._folder / self.names[index]
        photo = read(path)
        with Image.open(path) as image:
            return photo[..., :1] if image.mode in _GRAY else photo


def open_test_sets(dirs: str) -> dict[str, TestSet]:
    """Open several test sets.

    Args:
      dirs: their folders, separated by commas.

    Returns:
      The sets by the names of their folders (by their paths, where two have the same).

    Raises:
      DataError: no folder is named, or one cannot be used.
    """
    given = [folder.strip() for folder in dirs.split(",") if folder.strip()]
    if not given:
        raise DataError("dir is empty: name one or several folders of high-resolution photos")
    folders = [pathlib.Path(os.path.normpath(folder)).expanduser() for folder in given]
    short = [folder.name for folder in folders]
    return {
        str(folder) if short.count(folder.name) > 1 else folder.name: TestSet(folder)
        for folder in folders
    }
