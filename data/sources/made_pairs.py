"""Training pairs made of good photos: a photo is the target, and its degraded copy the input."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from data.batching.source import Window
from data.errors import ALONE, Share
from data.pictures.folders import check_crop
from data.pictures.frames import Frames
from data.pictures.memory import available_bytes
from data.pictures.progress import check_all
from data.sources.high_resolution import PhotosOnDisk

Degrade = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_DEFAULT_CACHE = 2 * 2**30  # bytes, if the free memory is unknown
# Crops are cut from up to this many times larger squares, which are reduced, because a crop should
# hold as much of a scene as a whole photo does, now and then.
_LARGEST_ZOOM = 3
# Half of the crops have their hues turned: a network is to learn what a phone does to colors, not
# the colors of some photos.
_TURNED = 0.5
_SATURATION = 0.7, 1.4  # factor of the chroma of a turned crop
# What few photos hold and a network must not spoil: other tone curves, and single things before black
# or white, such as the moon, a lamp at night or a drawing on paper.
_GAMMA = -0.5, 1.5  # logarithm of the exponent of the values of a toned crop
_GROUND_LEFT = 0.2  # at most, of the contrast of the ground behind a single thing
_MANY = 2**30  # places of a crop: as good as a random number of 60 bits

_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


class MadePairs:
    """Crops of photos and degraded copies of the crops.

    Attributes:
      names: the photos' names.
      crop: side of the training crops in pixels; None for a test split.
    """

    def __init__(
        self, photos: PhotosOnDisk, degrade: Degrade, *, crop: int | None, extremes: float = 0.0
    ):
        """Set what to read, without decoding a photo.

        `extremes` is the share of the crops that become extreme: half of them get another tone
        curve, of half a single thing is left before black or white.
        """
        self.names = photos.names
        self.crop = crop
        self.fingerprint = photos.fingerprint
        self._photos, self._degrade, self._extremes = photos, degrade, extremes
        available = available_bytes()
        room = _DEFAULT_CACHE if available is None else available // 4
        self._frames = Frames(self._decode, photos.identity, count=len(self), crop=crop, room=room)

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A full photo and a degraded copy: (copy, photo), uint8 [H, W, 3].

        Raises `DataError` if it does not decode or is smaller than the crop.
        """
        (photo,) = self._frames[index]
        return self._degrade(photo, np.random.default_rng(index)), photo

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """A crop and its degraded copy; see `data.batching.source.Cutting`.

        All that is random about them depends on where the window lies in a very large frame.
        """
        crop = self.crop
        assert crop is not None, "a test split has no crops"
        place = window((_MANY, _MANY, 3))
        rng = np.random.default_rng([part.start for part in place])
        zoom = np.exp(rng.uniform(0, np.log(_LARGEST_ZOOM)))
        corner = rng.random(2)

        def square(shape: tuple[int, ...]) -> tuple[slice, slice]:
            side = min(round(crop * zoom), *shape[:2])
            top, left = (
                int(part * (length - side + 1))
                for part, length in zip(corner, shape[:2], strict=True)
            )
            return slice(top, top + side), slice(left, left + side)

        (target,) = self._frames.cut(index, square)
        if len(target) != crop:
            size = (crop, crop)
            target = np.asarray(Image.fromarray(target).resize(size, Image.Resampling.LANCZOS))
        if rng.random() < _TURNED:
            target = turn_hue(target, rng.uniform(-np.pi, np.pi), rng.uniform(*_SATURATION))
        if self._extremes:
            kind = rng.random()
            if kind < self._extremes / 2:
                gamma = np.exp(rng.uniform(*_GAMMA))
                target = np.rint(255 * (target / 255) ** gamma).astype(np.uint8)
            elif kind < self._extremes:
                target = set_alone(target, rng)
        return self._degrade(target, rng), target

    def check(self, share: Share = ALONE) -> None:
        """Decode every photo; raise one `DataError` for all that are unusable."""
        check_all(self._frames.load, len(self), "Decoding the photos", share)

    def _decode(self, index: int) -> tuple[np.ndarray]:
        photo = self._photos[index]
        check_crop(self.names[index], photo.shape, self.crop)
        return (photo,)


def turn_hue(image: np.ndarray, angle: float, saturation: float) -> np.ndarray:
    """Turn the hue of an image, uint8 [H, W, 3], by an angle in the chroma plane of YCbCr.

    Args:
      image: the image.
      angle: in radians.
      saturation: factor of the chroma.

    Returns:
      uint8 [H, W, 3]; values out of range are clipped.
    """
    cos, sin = saturation * np.cos(angle), saturation * np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    matrix = np.linalg.inv(_TO_YCC) @ turn @ _TO_YCC
    return np.rint(image @ matrix.T).clip(0, 255).astype(np.uint8)


def set_alone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave one thing of an image, before a nearly black or white ground.

    The thing has the outline of an ellipse or a rounded rectangle of any size and direction, and is
    bright before black, dark before white.

    Args:
      image: uint8 [S, S, 3].
      rng: decides about everything.

    Returns:
      uint8 [S, S, 3].
    """
    side = len(image)
    y, x = np.mgrid[:side, :side] - rng.uniform(0, side, 2)[:, None, None]
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(-1, 1))
    along = (np.cos(angle) * x + np.sin(angle) * y) * stretch
    across = (np.cos(angle) * y - np.sin(angle) * x) / stretch
    power = rng.choice([2, 8])  # of a superellipse
    radius = rng.uniform(0.05, 0.5) * side
    distance = (np.abs(along) ** power + np.abs(across) ** power) ** (1 / power) - radius
    inside = 1 / (1 + np.exp(np.clip(distance / rng.uniform(0.2, 1.5), -50, 50)))[..., None]
    ground, left = rng.choice([0, 255]), rng.uniform(0, _GROUND_LEFT)
    around = ground + left * (image - ground)
    exposure = rng.uniform(0, 1)
    thing = np.clip(np.exp(exposure if ground == 0 else -exposure) * image, 0, 255)
    return np.rint(around + inside * (thing - around)).astype(np.uint8)
