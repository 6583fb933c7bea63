"""Pixel values as floats in [0, 1] and as the unsigned integers of image files.

All conversions to integers clip and round to the nearest value; ties go to the even one.
"""

import numpy as np


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Convert uint8 or uint16 to float32 in [0, 1]; floats are only cast to float32."""
    if np.issubdtype(pixels.dtype, np.floating):
        return pixels.astype(np.float32, copy=False)
    # Divide in NumPy: a compiler multiplies by 1 / 255, which differs in the last bit.
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def from_float(pixels: np.ndarray, dtype: np.typing.DTypeLike) -> np.ndarray:
    """Convert floats to uint8 or uint16; values outside [0, 1] are clipped."""
    return np.rint(np.clip(pixels, 0, 1) * np.float32(np.iinfo(dtype).max)).astype(dtype)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Convert floats in [0, 1] or uint16 to uint8; uint8 is returned unchanged."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        return from_float(pixels, np.uint8)
    rounded = np.empty(pixels.shape, np.uint8)
    # Equals rounding the quotient by 257, without floats; row by row to save memory.
    for row, wide in zip(rounded, pixels, strict=True):
        row[...] = (wide.astype(np.uint32) * 255 + 32767) // 65535
    return rounded
