"""Bicubic resizing of 8-bit images for super-resolution, and shrinking by means of areas.

Both bicubic kernels are the cubic with a = -0.5, stretched by the factor when shrinking, but they differ in
arithmetic and at the edges. "pillow" is Pillow's: networks are trained with it and users' images
are resized with it. "matlab" is imresize's, which most published tables use. Both round to 8 bits.
"""

import math

import numpy as np
from PIL import Image

KERNELS = ("pillow", "matlab")


def enlarge(image: np.ndarray, scale: int, *, kernel: str = "pillow") -> np.ndarray:
    """Enlarge uint8 `[H, W, 1 or 3]` to `[H * scale, W * scale, C]`.

    Raises TypeError for other types, ValueError for other shapes, a scale below 1 or another
    kernel.
    """
    _check(image, scale, kernel)
    return _resize(image, image.shape[0] * scale, image.shape[1] * scale, kernel)


def shrink(image: np.ndarray, scale: int, *, kernel: str = "pillow") -> np.ndarray:
    """Shrink uint8 `[H, W, 1 or 3]`, with anti-aliasing, to `[H / scale, W / scale, C]`.

    Raises the errors of `enlarge`, and ValueError if H or W is not a multiple of the scale.
    """
    _check(image, scale, kernel)
    height, width = image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"sides must be multiples of {scale} to be shrunk, got {image.shape}")
    return _resize(image, height // scale, width // scale, kernel)


def shrink_to(image: np.ndarray, most_pixels: int, *, least_side: int = 16) -> np.ndarray:
    """Shrink uint8 `[H, W, 3]` to at most about `most_pixels`, as means of areas.

    The aspect ratio is kept, unless a side would fall below `least_side`. Smaller images are
    returned unchanged.
    """
    height, width = image.shape[:2]
    factor = math.sqrt(most_pixels / (height * width))
    if factor >= 1:
        return image
    rows, columns = (max(int(factor * side), min(side, least_side)) for side in (height, width))
    return np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))


def enlarging_weights(scale: int) -> np.ndarray:
    """The weights of "pillow" for enlarging, without rounding: float32 `[5, scale]`.

    Away from the edges, `output[scale * i + p] = sum(weights[t, p] * input[i + t - 2])`.
    """
    impulse = np.zeros((1, 9), np.float32)
    impulse[0, 4] = 1
    response = Image.fromarray(impulse).resize((9 * scale, 1), Image.Resampling.BICUBIC)
    return np.asarray(response).reshape(9, scale)[6:1:-1]


def enlarge_alpha(alpha: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge an alpha channel `[H, W]`, uint8 or uint16, with Pillow's kernel."""
    if alpha.dtype == np.uint8:
        return enlarge(alpha[..., None], scale)[..., 0]
    size = (scale * alpha.shape[1], scale * alpha.shape[0])
    enlarged = Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(enlarged), 0, 65535)).astype(np.uint16)


def enlarge_band(values: np.ndarray, scale: int, rows: slice) -> np.ndarray:
    """Rows of the enlargement of float32 `[H, W, C]` with Pillow's kernel, without rounding."""
    height, width, channels = values.shape
    size = (scale * width, rows.stop - rows.start)
    # The kernel reaches two rows beyond the band.
    first, last = max(rows.start // scale - 3, 0), min(-(-rows.stop // scale) + 3, height)
    box = (0, rows.start / scale - first, width, rows.stop / scale - first)
    enlarged = np.empty((size[1], size[0], channels), np.float32)
    for channel in range(channels):
        image = Image.fromarray(np.ascontiguousarray(values[first:last, :, channel]))
        enlarged[..., channel] = image.resize(size, Image.Resampling.BICUBIC, box)
    return enlarged


def crop_to_multiple(image: np.ndarray, scale: int) -> np.ndarray:
    """Crop `[H, W, ...]` at the bottom and right to multiples of the scale; returns a view."""
    height, width = (side - side % scale for side in image.shape[:2])
    return image[:height, :width]


def _check(image: np.ndarray, scale: int, kernel: str) -> None:
    if image.dtype != np.uint8:
        raise TypeError(f"the image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise ValueError(f"the image must be [H, W, 1 or 3], got {image.shape}")
    if scale < 1:
        raise ValueError(f"the scale must be at least 1, not {scale}")
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, not {kernel!r}")


def _resize(image: np.ndarray, height: int, width: int, kernel: str) -> np.ndarray:
    if kernel == "pillow":
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        resized = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
        return resized.reshape(height, width, -1)
    # Rows first, rounding in between, as imresize does for 8-bit images and equal factors.
    for axis, outputs in ((0, height), (1, width)):
        weights = _matlab_weights(image.shape[axis], outputs)
        values = np.tensordot(weights, image.astype(np.float64), (1, axis))
        # MATLAB rounds halves up; NumPy would round them to even.
        rounded = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
        image = np.moveaxis(rounded, 0, axis)
    return np.ascontiguousarray(image)


def _matlab_weights(inputs: int, outputs: int) -> np.ndarray:
    """Resampling matrix `[outputs, inputs]` of one axis."""
    factor = outputs / inputs
    stretch = max(1 / factor, 1.0)
    support = int(np.ceil(4 * stretch)) + 2
    centers = (np.arange(outputs) + 0.5) / factor - 0.5
    first = np.floor(centers - 2 * stretch).astype(int)
    positions = first[:, None] + np.arange(support)
    weights = _cubic((centers[:, None] - positions) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    # The image is mirrored at its edges, including the outermost pixel.
    folded = positions % (2 * inputs)
    folded = np.minimum(folded, 2 * inputs - 1 - folded)
    matrix = np.zeros((outputs, inputs))
    np.add.at(matrix, (np.arange(outputs)[:, None], folded), weights)
    return matrix


def _cubic(x: np.ndarray) -> np.ndarray:
    # a = -0.5: (a+2)|x|^3 - (a+3)|x|^2 + 1 up to 1, a|x|^3 - 5a|x|^2 + 8a|x| - 4a up to 2.
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
