"""PSNR, SSIM and MS-SSIM of one image of any size, in little memory and with few programs.

They equal those of `ppcn_jax.metrics` up to the order of float32 sums. Similarities are computed
in tiles of one size, whose sums are added in float64, so that all images share a program. Images are
`[H, W, C]`, uint8 or float in about [0, 1], of equal shapes; scores are for a range of 1.
"""

import math
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.losses.ssim import SCALE_SIGMA, SCALE_WEIGHTS, SCALE_WINDOW, similarity
from ppcn_jax.ops.gaussian import filter_planes, gaussian_window
from ppcn_jax.photos.levels import to_float

# Positions of the window per side of a tile: larger tiles do not fit into the caches of processors.
TILE = 256


def psnr(prediction: np.ndarray, target: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB; infinite for identical images."""
    squares = 0.0
    for rows in _bands(len(target)):
        difference = to_float(prediction[rows]) - to_float(target[rows])
        squares += float(np.square(difference.astype(np.float64)).sum())
    mse = squares / target.size
    return -10 * math.log10(mse) if mse else math.inf


def ssim(prediction: np.ndarray, target: np.ndarray) -> float:
    """Structural similarity; see `metrics.ssim`. Raises ValueError for a side below 11 px."""
    if min(target.shape[:2]) < SCALE_WINDOW:
        raise ValueError(
            f"SSIM needs sides of at least {SCALE_WINDOW} px, got images of {target.shape}"
        )
    return _similarity(prediction, target)[0]


def ms_ssim(prediction: np.ndarray, target: np.ndarray) -> float:
    """Multi-scale structural similarity; see `metrics.ms_ssim`."""
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        both, contrast = _similarity(prediction, target)
        mean = both if scale == len(SCALE_WEIGHTS) else contrast
        product *= (mean if math.isnan(mean) else max(mean, 0.0)) ** weight
        if scale < len(SCALE_WEIGHTS):
            prediction, target = _halve(prediction), _halve(target)
    return product


def _similarity(prediction: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Means of SSIM and of its contrast over positions and channels."""
    height, width, channels = target.shape
    window = min(SCALE_WINDOW, height, width)
    kernel = np.zeros(SCALE_WINDOW, np.float32)
    kernel[:window] = gaussian_window(window, SCALE_SIGMA * window / SCALE_WINDOW)
    rows, columns = height - window + 1, width - window + 1
    totals = np.zeros(2)
    for top in range(0, rows, TILE):
        sums: list[Sequence[jax.Array]] = []
        for left in range(0, columns, TILE):
            tiles = (_tile(image, top, left) for image in (prediction, target))
            size = np.int32(min(rows - top, TILE)), np.int32(min(columns - left, TILE))
            sums.append(_sums(*tiles, kernel, *size))
        # Fetched once for each row of tiles, which bounds how many are waiting for the device.
        totals += np.asarray(jax.device_get(sums), np.float64).sum(axis=(0, 2, 3, 4))
    both, contrast = totals / (rows * columns * channels)
    return float(both), float(contrast)


def _tile(image: np.ndarray, top: int, left: int) -> np.ndarray:
    """A tile, float32 `[1, side, side, C]`; beyond the image it has the mean of the part inside.

    The values there do not count, but they change the mean that `_sums` subtracts.
    """
    side = TILE + SCALE_WINDOW - 1
    part = to_float(image[top : top + side, left : left + side])
    if part.shape[:2] == (side, side):
        return part[None]
    tile = np.empty((1, side, side, part.shape[2]), np.float32)
    tile[:] = part.mean((0, 1), dtype=np.float64)
    tile[0, : part.shape[0], : part.shape[1]] = part
    return tile


@jax.jit
def _sums(
    prediction: jax.Array, target: jax.Array, kernel: jax.Array, rows: jax.Array, columns: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Sums of SSIM and of its contrast over the columns of a tile, `[1, C, TILE]` each.

    Only positions in the first `rows` and `columns` count. A kernel that is smaller than the window
    ends with zeros.
    """
    x, y = jnp.moveaxis(prediction, 3, 1), jnp.moveaxis(target, 3, 1)
    # Variances do not depend on a shift, but E[x^2] - E[x]^2 cancels less about the mean.
    shift_x, shift_y = (jnp.mean(z, (2, 3), keepdims=True) for z in (x, y))
    x, y = x - shift_x, y - shift_y
    # Filtered together: on processors that is seven times as fast as the loss, which keeps apart
    # what its gradient needs.
    planes = jnp.stack([x, y, x * x + y * y, x * y])
    mean_x, mean_y, squares, products = filter_planes(planes, kernel, same=False)
    luminance, contrast = similarity(
        mean_x + shift_x,
        mean_y + shift_y,
        squares - mean_x**2 - mean_y**2,
        products - mean_x * mean_y,
    )
    inside = (jnp.arange(contrast.shape[2]) < rows)[None, None, :, None]
    inside &= (jnp.arange(contrast.shape[3]) < columns)[None, None, None, :]

    def over_columns(x: jax.Array) -> jax.Array:
        return jnp.where(inside, x, 0).sum(axis=3)

    return over_columns(luminance * contrast), over_columns(contrast)


def _halve(image: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; odd sides are padded by repeating the last row or column."""
    height, width, channels = image.shape
    half = np.empty((-(-height // 2), -(-width // 2), channels), np.float32)
    for band in _bands(len(half)):
        rows = to_float(image[2 * band.start : 2 * band.stop])
        odd = [(0, 2 * len(half[band]) - len(rows)), (0, width % 2), (0, 0)]
        rows = np.pad(rows, odd, mode="edge") if any(map(any, odd)) else rows
        over_rows = rows[::2] + rows[1::2]
        half[band] = (over_rows[:, ::2] + over_rows[:, 1::2]) / 4
    return half


def _bands(height: int) -> Iterator[slice]:
    """Slices of up to `TILE` rows."""
    return (slice(first, min(first + TILE, height)) for first in range(0, height, TILE))
