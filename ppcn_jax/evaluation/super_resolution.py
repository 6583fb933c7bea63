"""Protocols for scoring super-resolution, so that tables can be compared.

Both protocols crop photos to multiples of the scale, and exclude a margin as wide as the scale
from the scores:

* "pillow", the authors' protocol: Pillow's bicubic filter; gray photos are scored as RGB; the
  network's output is neither clipped nor rounded;
* "matlab", the protocol of most published tables: the filter of MATLAB's imresize; a gray photo
  is its own Y; images and Y are rounded to 8 bits.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ppcn_jax.evaluation.evaluate import Score, ScoreImage, diverged, make_score
from ppcn_jax.evaluation.image_scores import ms_ssim, psnr, ssim
from ppcn_jax.ops.luma import STUDIO_BLACK, STUDIO_WEIGHTS
from ppcn_jax.photos import resize
from ppcn_jax.photos.levels import to_float, to_uint8


class Photos(Protocol):
    """A test set of high-resolution photos, uint8 `[H, W, 1 or 3]`."""

    @property
    def names(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class Degraded:
    """Pairs (bicubic enlargement, photo) of a test set.

    Attributes:
        names: names of the photos.
    """

    def __init__(self, photos: Photos, *, scale: int, kernel: str) -> None:
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


def scorer(scale: int, kernel: str) -> ScoreImage:
    """The complete score of a protocol: that of `score_y`, "psnr_rgb", "ssim_rgb", "ms_ssim_rgb"."""

    def score(name: str, output: np.ndarray, target: np.ndarray) -> Score:
        on_y = score_y(name, output, target, scale=scale, kernel=kernel)
        if kernel == "matlab":
            output = to_uint8(output)
        images = [_crop(image, scale) for image in (output, target)]
        scores = [metric(*images) for metric in (psnr, ssim, ms_ssim)]
        return on_y | make_score(name, ("psnr_rgb", "ssim_rgb", "ms_ssim_rgb"), scores)

    return score


def score_y(name: str, output: np.ndarray, target: np.ndarray, *, scale: int, kernel: str) -> Score:
    """Score an output, float `[H, W, 1 or 3]`, against a uint8 target on Y, by a protocol.

    See `score_luma`.
    """
    if kernel == "matlab":
        if not np.isfinite(output).all():  # rounding would hide it
            raise diverged(name)
        output, target = _luma8(to_uint8(output)), _luma8(target)
    return score_luma(name, output, target, border=scale)


def score_luma(name: str, prediction: np.ndarray, target: np.ndarray, *, border: int) -> Score:
    """PSNR and SSIM of one image on Y, excluding `border` pixels on each side.

    Images are `[H, W, C]`, uint8 or float in about [0, 1], and neither clipped nor rounded here;
    C is 3, or 1 for an image that is Y itself. Returns `{"name", "psnr_y", "ssim_y"}` as
    `make_score` does. Raises ValueError for unequal shapes, and if the rest is smaller than
    SSIM's window of 11 px.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"the images differ in shape: {prediction.shape} and {target.shape}")
    images = [_luma(_crop(image, border)) for image in (prediction, target)]
    return make_score(name, ("psnr_y", "ssim_y"), [psnr(*images), ssim(*images)])


def _luma(image: np.ndarray) -> np.ndarray:
    """Y of an image `[H, W, 1 or 3]`, float32 `[H, W, 1]`; see `metrics.luma`."""
    if image.shape[2] == 1:
        return to_float(image)
    y = np.full((*image.shape[:2], 1), STUDIO_BLACK, np.float32)
    for channel, weight in enumerate(STUDIO_WEIGHTS):
        y[..., 0] += to_float(image[..., channel]) * np.float32(weight)
    return y


def _luma8(image: np.ndarray) -> np.ndarray:
    """Y of a uint8 image, rounded half up as MATLAB does."""
    if image.shape[2] == 1:
        return image
    y = image @ np.array(STUDIO_WEIGHTS) + 16
    return np.floor(y + 0.5).astype(np.uint8)[..., None]


def _crop(image: np.ndarray, border: int) -> np.ndarray:
    height, width = image.shape[:2]
    return image[border : height - border, border : width - border]
