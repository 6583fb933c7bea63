"""The demo's pairs: seven real photographs that scikit-image and scikit-learn ship.

The photographs are the targets. The inputs are made from them, so that they look as if an old phone
had taken them.
"""

import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from data.errors import DataError, find_package
from data.pictures.fingerprints import fingerprint
from data.pictures.images import read
from data.pictures.stored_frames import file_identity
from data.sources.made_pairs import MadePairs

_TEST = ("chelsea.png", "coffee.png")
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


class _Photographs:
    """Photographs in the folders of installed packages, decoded when needed."""

    def __init__(self, names: Sequence[str]):
        self.names = names
        self._paths = [_locate(name) for name in names]

    def __getitem__(self, index: int) -> np.ndarray:
        return read(self._paths[index])

    def identity(self, index: int) -> str:
        return file_identity(self._paths[index])

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        return fingerprint(self._paths[index], thorough=thorough)


def open_demo_photos(*, crop: int | None, split: str) -> MadePairs:
    """Five photographs for training, or two for testing, with the inputs that are made from them.

    Args:
      crop: side of the training crops in pixels; None for the test split.
      split: "train" or "test".

    Raises:
      DataError: if a photograph is missing or smaller than the crop.
      MissingExtraError: if scikit-image or scikit-learn is not installed.
    """
    names = [name for name in _PHOTOS if (name in _TEST) == (split == "test")]
    pairs = MadePairs(_Photographs(names), phone_look, crop=crop)
    pairs.check()
    return pairs


def phone_look(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, fade, darken, tint, add noise and compress: uint8 [H, W, 3], as the photo.

    Exposure and noise are random.
    """
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
