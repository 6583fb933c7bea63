"""Which images of a test split are scored, and which part of them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ppcn_jax.inference.enhance import WHOLE_PIXELS


class Pairs(Protocol):
    """A test split: pairs (input, target) of uint8 images."""

    @property
    def names(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


class Selection:
    """Some pairs of a test split, or all, cropped to what is to be scored.

    Args:
        pairs: the test split.
        images: number of pairs, evenly spaced; 0 selects all.
        largest: side of the square in the center that is left of larger images, px (less where it
            is no multiple of `scale`); 0 leaves images as they are.
        scale: of a super-resolver. Crops are aligned to multiples of it, and images of more than
            2 megapixels are cropped to them at the bottom and right, so that they can be computed
            in bands.

    Attributes:
        names: of the selected pairs.
    """

    def __init__(self, pairs: Pairs, *, images: int = 0, largest: int = 0, scale: int = 1) -> None:
        self._total = len(pairs)
        self._pairs, self._largest, self._scale = pairs, largest, scale
        self._indices = evenly_spaced(self._total, images or self._total)
        self.names = [pairs.names[index] for index in self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __str__(self) -> str:
        """What is scored: "10 test images", "5 of 10 test images, center crops of up to 512 px"."""
        count = f"{len(self)} of {self._total}" if len(self) < self._total else f"{len(self)}"
        crops = f", center crops of up to {self._largest} px" if self._largest else ""
        return f"{count} test images{crops}"

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, target = self._pairs[self._indices[index]]
        return self._crop(image), self._crop(target)

    def _crop(self, image: np.ndarray) -> np.ndarray:
        rows, columns = (self._part(side, image.shape) for side in image.shape[:2])
        return image[rows, columns]

    def _part(self, side: int, shape: tuple[int, ...]) -> slice:
        if self._largest and side > self._largest:
            size = self._largest // self._scale * self._scale
            first = (side - size) // 2 // self._scale * self._scale
            return slice(first, first + size)
        too_large = shape[0] * shape[1] > WHOLE_PIXELS
        return slice(0, side - side % self._scale if too_large else side)


def evenly_spaced(total: int, count: int) -> list[int]:
    """Up to `count` of the indices below `total`, evenly spaced from the first to the last."""
    return [int(i) for i in np.unique(np.linspace(0, total - 1, min(count, total)).round())]
