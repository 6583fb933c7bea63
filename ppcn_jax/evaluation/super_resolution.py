"""How super-resolved images are made and scored, so that tables can be compared.

Two protocols share that photos are cropped to multiples of the scale and that a border of as many
pixels is left out of the scores:

* "pillow", the authors': Pillow's bicubic filter, gray photos as RGB, everything as the network
  computes it, neither clipped nor rounded;
* "matlab", that of most published tables: the filter of MATLAB's imresize, a gray photo is Y
  itself, images and Y are rounded to 8 bits.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from ppcn_jax.evaluation.luma_scores import score_luma
from ppcn_jax.metrics import LUMA_WEIGHTS, ms_ssim, psnr, ssim
from ppcn_jax.photos import resize
from ppcn_jax.photos.strips import to_uint8


class Photos(Protocol):
    """A test set: what `data.open_test_sets` returns for each folder."""

    names: Sequence[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class Degraded:
    """Pairs (bicubic enlargement, photo) of a test set.

    Args:
        photos: of the set.
        scale: how many times smaller the low-resolution images are.
        kernel: "pillow" or "matlab".

    Attributes:
        names: of the photos.
    """

    def __init__(self, photos: Photos, *, scale: int, kernel: str):
        self.names = photos.names
        self._photos, self._scale, self._kernel = photos, scale, kernel

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo = resize.crop_to_multiple(self._photos[index], self._scale)
        if self._kernel == "pillow":
            photo = np.broadcast_to(photo, (*photo.shape[:2], 3))
        photo = np.ascontiguousarray(photo)
        small = resize.shrink(photo, self._scale, kernel=self._kernel)
        return resize.enlarge(small, self._scale, kernel=self._kernel), photo


def scorer(scale: int, kernel: str) -> Callable[[str, np.ndarray, np.ndarray], dict[str, Any]]:
    """The scores of one image under a protocol, on Y and on RGB.

    Args:
        scale: pixels of the border that is left out.
        kernel: "pillow" or "matlab".

    Returns:
        `(name, output, target)` -> `{"name", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb",
        "ms_ssim_rgb"}`.
    """

    def score(name: str, output: np.ndarray, target: np.ndarray) -> dict[str, Any]:
        scores = score_y(name, output, target, scale=scale, kernel=kernel)
        if kernel == "matlab":
            output = to_uint8(output)
        y, t = (_inside(image, scale) for image in (output, target))
        decibels, similarity, ms_similarity = map(float, _scores(y, t))
        return scores | {
            "psnr_rgb": decibels if np.isfinite(decibels) else None,
            "ssim_rgb": similarity,
            "ms_ssim_rgb": ms_similarity,
        }

    return score


def score_y(
    name: str, output: np.ndarray, target: np.ndarray, *, scale: int, kernel: str
) -> dict[str, Any]:
    """The scores of one image under a protocol, on Y.

    Args:
        name: of the image.
        output: float `[H, W, 1 or 3]`.
        target: uint8 of the same shape.
        scale: pixels of the border that is left out.
        kernel: "pillow" or "matlab".

    Returns:
        As `score_luma`.
    """
    images = output, target
    if kernel == "matlab":
        images = _luma8(to_uint8(output)), _luma8(target)
    return score_luma(name, *images, border=scale)


@jax.jit
def _scores(y: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    y, t = y[None], t[None]
    return psnr(y, t)[0], ssim(y, t)[0], ms_ssim(y, t)[0]


def _luma8(image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 1:
        return image
    y = image @ np.array(LUMA_WEIGHTS) + 16
    return np.floor(y + 0.5).astype(np.uint8)[..., None]


def _inside(image: np.ndarray, border: int) -> np.ndarray:
    height, width = image.shape[:2]
    inside = image[border : height - border, border : width - border]
    return inside / np.float32(255) if image.dtype == np.uint8 else inside
