"""The demo's pairs: seven real photographs that scikit-image and scikit-learn ship.

The photographs are the targets; the inputs are made from them, see `data.phone_look`.
"""

import pathlib

import numpy as np

from data.checks import check_pair
from data.errors import DataError
from data.extras import package_folder
from data.images import read
from data.phone_look import phone_look

# A close-up of fur in low contrast, and a building under a bright sky: as unlike as two of the
# seven can be, so that the score is not that of one subject.
_TEST = ("chelsea.png", "china.jpg")

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
    """Seven photographs: two whole ones test, five train in random crops.

    Attributes:
      names: the file names.
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
        self.names = [name for name in _PHOTOS if (name in _TEST) == (split == "test")]
        self.crop = crop
        self._pairs = [_pair(name) for name in self.names]
        for name, (photo, target) in zip(self.names, self._pairs, strict=True):
            check_pair(name, photo.shape, target.shape, crop)

    def __len__(self) -> int:
        """The number of photographs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair (input, target): uint8 [H, W, 3]."""
        return self._pairs[index]


def _pair(name: str) -> tuple[np.ndarray, np.ndarray]:
    target = read(_locate(name))
    return phone_look(target, list(_PHOTOS).index(name)), target


def _locate(name: str) -> pathlib.Path:
    package, folder = _PHOTOS[name]
    path = package_folder(package, "demo") / folder / name
    if not path.exists():
        raise DataError(
            f"{path} is missing; reinstall with: pip install --force-reinstall '.[demo]'"
        )
    return path
