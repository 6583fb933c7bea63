"""A folder of good photos without targets, in which the faults of a network are measured."""

import pathlib

import numpy as np

from ppcn_jax.inference.photo import check_size
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.paths import photos_below
from ppcn_jax.photos.read import read_srgb
from ppcn_jax.photos.resize import shrink_to
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.storage import to_path

# Larger photos are shrunk to this many pixels: a quarter of a megapixel.
MOST_PIXELS = 2**18


class HeldOutPhotos:
    """The photos of a folder and its subfolders, as pairs for `evaluate` and `score_faults`.

    Photos of more than `MOST_PIXELS` are shrunk to that, by means of areas, which keep the color
    of every area. The photos are read once and kept as uint8 in
    sRGB.

    Args:
        folder: the folder.
        field: configuration field that names it, for messages.

    Attributes:
        names: of the photos, relative to the folder.

    Raises:
        InputError: no folder, no photos in it, or one that cannot be read or is too small.
    """

    def __init__(self, folder: str, *, field: str):
        paths = list_photos(folder, field=field)
        self.names = [path.as_posix() for path in paths]
        self._photos = [_read(to_path(folder) / path) for path in paths]

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Twice the same photo, uint8 `[H, W, 3]`: it is the network's input and its yardstick."""
        return self._photos[index], self._photos[index]


def list_photos(folder: str, *, field: str) -> list[pathlib.Path]:
    """Paths of the photos below a folder, relative to it; raises InputError if there are none."""
    if not folder or not to_path(folder).is_dir():
        raise InputError(f"{field}={folder!r} is no folder; name a folder of good photos")
    photos = [path.relative_to(folder) for path in photos_below(to_path(folder))]
    if not photos:
        raise InputError(f"{field}={folder} contains no photos")
    return photos


def _read(path: pathlib.Path) -> np.ndarray:
    pixels = read_srgb(path)
    try:
        check_size(pixels)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    return shrink_to(to_uint8(pixels), MOST_PIXELS)
