"""High-resolution photos for super-resolution: the inputs are made from them.

The target is a crop of a photo, or a whole photo in a test split. The input is the same shrunk and
enlarged again by Pillow's bicubic filter, in 8 bits: what a user's small image becomes before the
network sees it. A crop is degraded by itself and not cut from a degraded photo, because at its
border the filter must find what the network will be given: nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from data.batching.crops import gather_in_tensorflow
from data.batching.order import Order
from data.errors import DataError
from data.pictures.cache import Cache
from data.pictures.memory import available_bytes
from data.pictures.progress import parallel
from data.sources.in_memory import decode_all, value_of

if TYPE_CHECKING:
    import tensorflow as tf

# Sides of a test photo in pixels: networks need 16, and the scores' window what is left when the
# border is not counted.
SMALLEST_TEST_SIDE = 32

_CACHE_WHERE_UNKNOWN = 2 * 2**30  # bytes, where the available memory cannot be told


class Photos(Protocol):
    """Decoded photos, addressed by index."""

    @property
    def names(self) -> Sequence[str]:
        """What each photo is called in messages."""
        ...

    def __getitem__(self, index: int) -> np.ndarray:
        """A photo: uint8 [H, W, 3]; thread-safe. Raises `DataError` if it does not decode."""
        ...


class HighResolution:
    """Photos and their degraded versions.

    Attributes:
      names: the photos' names.
      crop: side of the training crops in pixels; None for whole photos.
      scale: how much smaller the low-resolution images are.
    """

    def __init__(self, photos: Photos, *, crop: int | None, scale: int):
        """Wrap photos, without decoding any.

        Args:
          photos: the photos of one split.
          crop: side of the training crops in pixels, a multiple of `scale`; None for a test split.
          scale: how much smaller the low-resolution images are.

        Raises:
          DataError: if crop and scale do not fit.
        """
        if scale < 1:
            raise DataError(f"scale must be at least 1, not {scale}")
        if crop is not None and crop % scale:
            raise DataError(
                f"crop must be a multiple of the scale {scale}, not {crop}; use "
                f"{(crop // scale + 1) * scale}"
            )
        self.names = photos.names
        self.crop = crop
        self.scale = scale
        self._photos = photos

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A whole photo, cut to multiples of the scale: (degraded, photo), uint8 [H, W, 3]."""
        photo = self.target(index)
        return self.degrade(photo), photo

    def target(self, index: int) -> np.ndarray:
        """A whole photo, cut to multiples of the scale.

        Args:
          index: which.

        Returns:
          uint8 [H, W, 3].

        Raises:
          DataError: if it does not decode or is too small.
        """
        photo = self._photos[index]
        self._check_size(self.names[index], photo.shape)
        height, width = (side - side % self.scale for side in photo.shape[:2])
        return photo[:height, :width]

    def degrade(self, target: np.ndarray) -> np.ndarray:
        """What is left of a photo or a crop: shrunk by the scale and enlarged again."""
        return degrade(target, self.scale)

    def _check_size(self, name: str, shape: tuple[int, ...]) -> None:
        height, width, _ = shape
        if self.crop is not None and min(height, width) < self.crop:
            raise DataError(
                f"{name} is {width}x{height} pixels, smaller than the crop of {self.crop}; use a "
                "smaller crop or remove the photo"
            )
        if min(height, width) < SMALLEST_TEST_SIDE and self.crop is None:
            raise DataError(
                f"{name} is {width}x{height} pixels, too small to be tested on: remove it, or use "
                f"photos of at least {SMALLEST_TEST_SIDE} pixels a side"
            )


class HighResolutionOnDisk(HighResolution):
    """The same, where photos are decoded when needed; as many as fit stay in RAM."""

    def __init__(self, photos: Photos, *, crop: int | None, scale: int):
        """Wrap photos; arguments and errors as `HighResolution`'s."""
        super().__init__(photos, crop=crop, scale=scale)
        available = available_bytes()
        room = _CACHE_WHERE_UNKNOWN if available is None else available // 2
        self._cache = Cache[np.ndarray](room)

    def target(self, index: int) -> np.ndarray:
        """As `HighResolution.target`."""
        photo = self._cache.get(index)
        if photo is None:
            photo = super().target(index)
            self._cache.keep(index, photo, photo.nbytes)
        return photo

    def check(self) -> None:
        """Decode every photo; those that fit stay in RAM.

        Raises:
          DataError: for the first photo that cannot be used.
        """
        parallel(self.target, range(len(self)), "Decoding the photos")

    def dataset(self, order: Order, start_step: int) -> "tf.data.Dataset":
        """Endless batches, cropped and degraded in parallel.

        Args:
          order: the order over the photos.
          start_step: the step of the first batch.

        Returns:
          Dictionaries as `data.crops.gather` returns.
        """
        return gather_in_tensorflow(self, order, start_step)


class _Decoded:
    """All photos of a source, in RAM."""

    def __init__(self, source: HighResolution, tolerant: bool):
        self.names = source.names
        self._photos = decode_all(source.target, len(source), "photos", tolerant=tolerant)

    def __getitem__(self, index: int) -> np.ndarray:
        return value_of(self._photos[index])


def open_high_resolution(
    photos: Photos, *, crop: int | None, scale: int, in_memory: bool, check: bool = True
) -> HighResolution:
    """Open the photos of a split and check all of them.

    Args:
      photos: undecoded.
      crop: side of the training crops in pixels; None for a test split.
      scale: how much smaller the low-resolution images are.
      in_memory: decode all into RAM; training then needs no TensorFlow.
      check: whether a photo that cannot be used raises now, or when it is asked for.

    Returns:
      The source.

    Raises:
      DataError: for the first photo that cannot be used, or if they do not fit into RAM.
    """
    source = HighResolutionOnDisk(photos, crop=crop, scale=scale)
    if in_memory:
        return HighResolution(_Decoded(source, not check), crop=crop, scale=scale)
    if check:
        source.check()
    return source


def degrade(image: np.ndarray, scale: int) -> np.ndarray:
    """Shrink and enlarge an image by Pillow's bicubic filter, both in 8 bits.

    Args:
      image: uint8 [H, W, 3], sides multiples of `scale`.
      scale: the factor.

    Returns:
      uint8 [H, W, 3].
    """
    height, width, _ = image.shape
    small = Image.fromarray(image).resize(
        (width // scale, height // scale), Image.Resampling.BICUBIC
    )
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
