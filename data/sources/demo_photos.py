"""The demo's pairs: seven real photographs that scikit-image and scikit-learn ship.

The photographs are the targets. The inputs are made from them, so that they look as if an old phone
had taken them.
"""

import io
import itertools
import pathlib

import numpy as np
from PIL import Image, ImageFilter

from data.errors import DataError, find_package
from data.pictures.folders import check_crop
from data.pictures.images import read

_TEST = ("chelsea.png", "coffee.png")
# Five photographs have few hues, and a network trained on them would lose all others. Training
# therefore uses each in every order of its color channels: the network is to learn what the phone
# does to colors, not these colors.
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

# Chosen so that the photographs change, on average, as DPED's real iPhone patches differ from the
# camera's: mean x 0.74, contrast (standard deviation, 46 to 35 gray levels) x 0.76, saturation
# (largest minus smallest channel, averaged: 20.6 to 14.0) x 0.68, PSNR 17.3 dB.
_BLUR_RADIUS = 1.0  # pixels, standard deviation
_SATURATION = 0.96
_GAIN = 0.85
_OFFSET = -11.0  # gray levels
_WHITE_BALANCE = (0.86, 1.0, 1.06)  # a cool cast
_EXPOSURE_SPREAD = 0.05  # how much the exposure varies between photos
_NOISE = 4.0  # gray levels
_JPEG_QUALITY = 80

_LUMA = np.array([0.299, 0.587, 0.114])


class DemoPhotos:
    """Five photographs for training, in all channel orders, and two for testing.

    Attributes:
      names: file names; for training also the order of the channels, as in "rocket.jpg BGR".
      crop: side of the training crops in pixels; None for the test split.
    """

    def __init__(self, *, crop: int | None, split: str):
        """Read the photographs of a split and make their inputs.

        Raises:
          DataError: if a photograph is missing or smaller than the crop.
          MissingExtraError: if scikit-image or scikit-learn is not installed.
        """
        self.crop = crop
        self.names: list[str] = []
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for number, file in enumerate(_PHOTOS):
            if (file in _TEST) != (split == "test"):
                continue
            photo = read(_locate(file))
            check_crop(file, photo.shape, crop)
            for order_number, order in enumerate(_ORDERS if split == "train" else _ORDERS[:1]):
                self.names.append(f"{file} {''.join(order)}" if split == "train" else file)
                target = np.ascontiguousarray(photo[..., ["RGB".index(color) for color in order]])
                self._pairs.append(
                    (phone_look(target, number + len(_PHOTOS) * order_number), target)
                )

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair (input, target): uint8 [H, W, 3]."""
        return self._pairs[index]


def phone_look(photo: np.ndarray, index: int) -> np.ndarray:
    """Blur, fade, darken, tint, add noise and compress: uint8 [H, W, 3], as the photo.

    Exposure and noise depend on the index alone.
    """
    rng = np.random.default_rng(index)
    blurred = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS))
    rgb = np.asarray(blurred).astype(np.float64)
    luma = (rgb @ _LUMA)[..., None]
    faded = luma + _SATURATION * (rgb - luma)
    exposure = _GAIN + rng.uniform(-_EXPOSURE_SPREAD, _EXPOSURE_SPREAD)
    tinted = exposure * faded * _WHITE_BALANCE + _OFFSET
    noisy = tinted + rng.normal(0, _NOISE, photo.shape)
    jpeg = io.BytesIO()
    Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8)).save(
        jpeg, "JPEG", quality=_JPEG_QUALITY
    )
    return np.asarray(Image.open(jpeg))


def _locate(file: str) -> pathlib.Path:
    package, folder = _PHOTOS[file]
    path = find_package(package, "demo") / folder / file
    if not path.exists():
        raise DataError(
            f"{path} is missing; run pip install --force-reinstall '.[demo]' in a clone of the "
            "repository"
        )
    return path
