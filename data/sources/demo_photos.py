"""The demo's pairs: seven real photographs that scikit-image and scikit-learn ship.

The photographs are the targets; the inputs are made from them, see `data.phone_look`.
"""

import itertools
import pathlib

import numpy as np

from data.errors import DataError
from data.extras import package_folder
from data.pictures.checks import check_pair
from data.pictures.images import read
from data.sources.phone_look import phone_look

_TEST = ("chelsea.png", "coffee.png")
# Five photographs hold few hues, and a network that sees no others loses the rest. Each trains in
# every order of its color channels: what the phone does to colors is the lesson, not these colors.
_ORDERS = tuple(itertools.permutations("RGB"))

_PHOTOS = {
    "astronaut.png": ("skimage", "data"),
    "chelsea.png": ("skimage", "data"),
    "coffee.png": ("skimage", "data"),
    "rocket.jpg": ("skimage", "data"),
    "motorcycle_left.png": ("skimage", "data"),
    "china.jpg": ("sklearn", "datasets/images"),
    "flower.jpg": ("sklearn", "datasets/images"),
}


class Photos:
    """Seven photographs: two whole ones test, five train in random crops and all channel orders.

    Attributes:
      names: the file names, for training with the order of the channels.
      crop: side of the training crops in pixels; None for the test split.
    """

    def __init__(self, *, crop: int | None, split: str):
        """Read the photographs of a split and make their inputs.

        Args:
          crop: side of the training crops in pixels; None for whole photographs.
          split: "train" or "test".

        Raises:
          DataError: if a photograph is missing or smaller than the crop.
          MissingExtraError: if scikit-image or scikit-learn is absent.
        """
        photos = [name for name in _PHOTOS if (name in _TEST) == (split == "test")]
        orders = _ORDERS if split == "train" else _ORDERS[:1]
        shown = [(name, order) for name in photos for order in orders]
        self.names = [
            f"{name} {''.join(order)}" if split == "train" else name for name, order in shown
        ]
        self.crop = crop
        self._pairs = [_pair(name, order) for name, order in shown]
        for name, (photo, target) in zip(self.names, self._pairs, strict=True):
            check_pair(name, photo.shape, target.shape, crop)

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair (input, target): uint8 [H, W, 3]."""
        return self._pairs[index]


def _pair(name: str, order: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    target = np.ascontiguousarray(read(_locate(name))[..., ["RGB".index(color) for color in order]])
    number = list(_PHOTOS).index(name) + len(_PHOTOS) * _ORDERS.index(order)
    return phone_look(target, number), target


def _locate(name: str) -> pathlib.Path:
    package, folder = _PHOTOS[name]
    path = package_folder(package, "demo") / folder / name
    if not path.exists():
        raise DataError(
            f"{path} is missing; reinstall with: pip install --force-reinstall '.[demo]'"
        )
    return path
