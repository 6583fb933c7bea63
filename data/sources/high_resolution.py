"""High-resolution photos for super-resolution, whose inputs are made from them.

The target is a crop of a photo, or a full photo in a test split. The input is the target, reduced
and enlarged by Pillow's bicubic filter in 8 bits, which is what a user's small image becomes before
the network sees it. Each crop is degraded separately and not cut from a degraded photo, because
the filter must find nothing beyond the edges of a crop, as at the edges of a user's image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from data.batching.crops import gather_in_tensorflow
from data.batching.order import Order
from data.batching.source import Window
from data.errors import ALONE, DataError, Share
from data.pictures.folders import check_crop
from data.pictures.frames import Frames
from data.pictures.memory import available_bytes
from data.pictures.progress import check_all
from data.pictures.resize import enlarge
from data.sources.in_memory import Decoded

if TYPE_CHECKING:
    from tensorflow.data import Dataset

# Side of a test photo in pixels: networks need 16, and the windows of the scores need what is left
# after the edges are cut off.
SMALLEST_TEST_SIDE = 32

_DEFAULT_CACHE = 2 * 2**30  # bytes, if the free memory is unknown


class Photos(Protocol):
    """Decoded photos, addressed by index."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the photos, for messages."""
        ...

    def __getitem__(self, index: int) -> np.ndarray:
        """A photo: uint8 [H, W, 3]; thread-safe; raises `DataError` if it does not decode."""
        ...

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """See `data.batching.source.FromFiles`."""
        ...


class PhotosOnDisk(Photos, Protocol):
    """Photos that are decoded when needed."""

    def identity(self, index: int) -> str:
        """A text that changes with the photo; raises `OSError` if there is none."""
        ...


class HighResolution:
    """Photos and their degraded versions.

    Attributes:
      names: the photos' names.
      crop: side of the training crops in pixels; None for full photos.
      scale: factor by which the low-resolution images are smaller.
    """

    def __init__(self, photos: Photos, *, crop: int | None, scale: int):
        """Wrap the photos of one split, without decoding any.

        Raises:
          DataError: if the crop is not a multiple of the scale, or the scale is below 1.
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
        """A full photo, cut to multiples of the scale: (degraded, photo), uint8 [H, W, 3]."""
        photo = self.target(index)
        return self.degrade(photo), photo

    def target(self, index: int) -> np.ndarray:
        """A full photo, cut to multiples of the scale: uint8 [H, W, 3].

        Raises `DataError` if it does not decode or is too small.
        """
        photo = self._photos[index]
        check_size(self.names[index], photo.shape, self.crop)
        height, width = (side - side % self.scale for side in photo.shape[:2])
        return photo[:height, :width]

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """A crop of a photo, degraded separately; see `data.batching.source.Cutting`."""
        photo = self.target(index)
        target = photo[window(photo.shape)]
        return self.degrade(target), target

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """See `data.batching.source.FromFiles`."""
        return self._photos.fingerprint(index, thorough=thorough)

    def degrade(self, target: np.ndarray) -> np.ndarray:
        """Reduce a photo or a crop by the scale, and enlarge it to its size."""
        return degrade(target, self.scale)


class HighResolutionOnDisk(HighResolution):
    """Photos that are decoded when needed; see `Frames` for those that are kept."""

    def __init__(self, photos: PhotosOnDisk, *, crop: int | None, scale: int):
        """Wrap photos; see `HighResolution`."""
        super().__init__(photos, crop=crop, scale=scale)
        available = available_bytes()
        room = _DEFAULT_CACHE if available is None else available // 2
        self._identify = photos.identity
        self._frames = Frames(self._decode, self._identity, count=len(self), crop=crop, room=room)

    def target(self, index: int) -> np.ndarray:
        """See `HighResolution.target`."""
        return self._frames[index][0]

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """See `HighResolution.cut`; the photo is not decoded again."""
        (target,) = self._frames.cut(index, window)
        return self.degrade(target), target

    def _decode(self, index: int) -> tuple[np.ndarray]:
        return (super().target(index),)

    def _identity(self, index: int) -> str:
        return f"{self._identify(index)}\nmultiples of {self.scale}"

    def check(self, share: Share = ALONE) -> None:
        """Decode every photo; raise one `DataError` for all that are unusable."""
        check_all(self._frames.load, len(self), "Decoding the photos", share)

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Batches, cropped and degraded in parallel; see `gather_in_tensorflow`."""
        return gather_in_tensorflow(self, order, start_step)


def open_high_resolution(
    photos: PhotosOnDisk,
    *,
    crop: int | None,
    scale: int,
    in_memory: bool,
    check: bool = True,
    check_share: Share = ALONE,
) -> HighResolution:
    """Open the photos of a split.

    Args:
      photos: the photos, not decoded.
      crop: side of the training crops in pixels; None for a test split.
      scale: factor by which the low-resolution images are smaller.
      in_memory: decode all photos into RAM; training then needs no TensorFlow.
      check: a photo that cannot be used raises now, not when it is read.
      check_share: this process's share of these checks, if the photos are not decoded into RAM.

    Raises:
      DataError: for all photos that cannot be used, together, or if they do not fit into RAM.
    """
    source = HighResolutionOnDisk(photos, crop=crop, scale=scale)
    if in_memory:
        decoded = Decoded(
            source.target,
            source.names,
            "photo",
            tolerant=not check,
            fingerprint=source.fingerprint,
        )
        return HighResolution(decoded, crop=crop, scale=scale)
    if check:
        source.check(check_share)
    return source


def check_size(name: str, shape: tuple[int, ...], crop: int | None) -> None:
    """Raise `DataError` if a photo is smaller than the crop, or too small for testing."""
    check_crop(name, shape, crop)
    height, width, _ = shape
    if crop is None and min(height, width) < SMALLEST_TEST_SIDE:
        raise DataError(
            f"{name} is {width}x{height} pixels, too small for testing; remove it, or use photos "
            f"of at least {SMALLEST_TEST_SIDE} pixels a side"
        )


def degrade(image: np.ndarray, scale: int) -> np.ndarray:
    """Reduce and enlarge an image, uint8 [H, W, 3], by Pillow's bicubic filter in 8 bits.

    The sides must be multiples of the scale.
    """
    height, width, _ = image.shape
    small = Image.fromarray(image).resize(
        (width // scale, height // scale), Image.Resampling.BICUBIC
    )
    return enlarge(np.asarray(small), scale)
