"""Bicubic resizing of 8-bit images, as super-resolution shrinks and enlarges them.

Two kernels share the cubic with a = -0.5, stretched by the factor when shrinking, but not the
arithmetic nor the border. "pillow" is Pillow's: what the networks are trained with and what a
user's image gets. "matlab" is that of MATLAB's imresize, with which most published tables were
made. Both round to 8 bits.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

KERNELS = ("pillow", "matlab")


def enlarge(image: np.ndarray, scale: int, *, kernel: str = "pillow") -> np.ndarray:
    """Enlarge an image.

    Args:
        image: uint8 `[H, W, C]`, C is 1 or 3.
        scale: the factor, at least 1.
        kernel: "pillow" or "matlab".

    Returns:
        uint8 `[H * scale, W * scale, C]`.

    Raises:
        TypeError: not uint8.
        ValueError: another shape, scale or kernel.
    """
    resize = _checked(image, scale, kernel)
    return resize(image, image.shape[0] * scale, image.shape[1] * scale)


def shrink(image: np.ndarray, scale: int, *, kernel: str = "pillow") -> np.ndarray:
    """Shrink an image, without aliasing.

    Args:
        image: uint8 `[H, W, C]`, H and W multiples of `scale`, C is 1 or 3.
        scale: the factor, at least 1.
        kernel: "pillow" or "matlab".

    Returns:
        uint8 `[H / scale, W / scale, C]`.

    Raises:
        TypeError: not uint8.
        ValueError: another shape, scale or kernel.
    """
    resize = _checked(image, scale, kernel)
    height, width = image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"sides must be multiples of {scale} to be shrunk, got {image.shape}")
    return resize(image, height // scale, width // scale)


def crop_to_multiple(image: np.ndarray, scale: int) -> np.ndarray:
    """Cut off what keeps the sides from being multiples of the scale, below and on the right.

    Args:
        image: `[H, W, ...]`, sides at least `scale`.
        scale: the factor, at least 1.

    Returns:
        A view of the image.
    """
    height, width = (side - side % scale for side in image.shape[:2])
    return image[:height, :width]


_Resize = Callable[[np.ndarray, int, int], np.ndarray]


def _checked(image: np.ndarray, scale: int, kernel: str) -> _Resize:
    if image.dtype != np.uint8:
        raise TypeError(f"the image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise ValueError(f"the image must be [H, W, 1 or 3], got {image.shape}")
    if scale < 1:
        raise ValueError(f"the scale must be at least 1, not {scale}")
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, not {kernel!r}")
    return _resize_pillow if kernel == "pillow" else _resize_matlab


def _resize_pillow(image: np.ndarray, height: int, width: int) -> np.ndarray:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    return resized.reshape(height, width, -1)


def _resize_matlab(image: np.ndarray, height: int, width: int) -> np.ndarray:
    # Rows first, rounded in between, as imresize does to equal factors of 8-bit images.
    for axis, outputs in ((0, height), (1, width)):
        weights = _matlab_weights(image.shape[axis], outputs)
        values = np.tensordot(weights, image.astype(np.float64), (1, axis))
        # Halves are rounded up; NumPy rounds them to even numbers.
        rounded = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
        image = np.moveaxis(rounded, 0, axis)
    return np.ascontiguousarray(image)


def _matlab_weights(inputs: int, outputs: int) -> np.ndarray:
    """The matrix `[outputs, inputs]` of one direction."""
    factor = outputs / inputs
    stretch = max(1 / factor, 1.0)
    taps = int(np.ceil(4 * stretch)) + 2
    centers = (np.arange(outputs) + 0.5) / factor - 0.5
    first = np.floor(centers - 2 * stretch).astype(int)
    positions = first[:, None] + np.arange(taps)
    weights = _cubic((centers[:, None] - positions) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    # Beyond its border the image is mirrored, the outermost pixel included.
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
