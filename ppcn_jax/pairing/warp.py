"""Warp the camera's frame onto the phone's, and find the area that both see."""

import cv2
import numpy as np

from ppcn_jax.pairing.align import Alignment
from ppcn_jax.pairing.patches import resample

# Left, top, right, bottom in px; right and bottom are not part of it.
Box = tuple[int, int, int, int]

_SAMPLES = 2_000_000  # taken at a time, which bounds the memory
_REACH = 2  # px that cubic kernels need around a position
_CELLS = 256  # along the longer side of the frame, for the search of the common area


def warp(camera: np.ndarray, alignment: Alignment, box: Box) -> np.ndarray:
    """Resample uint8 `[h, w, 3]` to the pixels of the phone's frame in `box`.

    Where the camera has more pixels than the phone, it is sampled more finely, at most one of its
    pixels apart, and these samples are averaged with Pillow's and MATLAB's bicubic kernel: fine
    patterns turn gray instead of aliasing.

    Args:
        camera: the camera's frame.
        alignment: where to find the phone's pixels in it.
        box: (left, top, right, bottom) in px of the phone's frame.

    Returns:
        uint8 `[bottom - top, right - left, 3]`.
    """
    left, top, right, bottom = box
    density = max(1, int(np.ceil(alignment.scale - 0.02)))
    kernel = _bicubic(density)
    margin = len(kernel) // 2
    xs = left + np.arange(-margin, (right - left) * density + margin) / density
    result = np.empty((bottom - top, right - left, 3), np.uint8)
    rows = max(1, _SAMPLES // (len(xs) * density))
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        ys = start + np.arange(-margin, (stop - start) * density + margin) / density
        positions = alignment.grid(xs, ys).astype(np.float32)
        samples = resample(camera, positions)
        if density > 1:
            samples = cv2.sepFilter2D(samples, -1, kernel, kernel)
        inner = samples[margin : len(ys) - margin : density, margin : len(xs) - margin : density]
        result[start - top : stop - top] = inner
    return result


def common_area(
    alignment: Alignment, phone: tuple[int, int], camera: tuple[int, int]
) -> Box | None:
    """Find the largest upright box of the phone's frame that the camera sees; None if there is none.

    Args:
        alignment: of the two frames.
        phone: (height, width) of the phone's frame.
        camera: (height, width) of the camera's.
    """
    height, width = phone
    step = max(1, max(height, width) // _CELLS)
    xs, ys = np.arange(0, width + step, step), np.arange(0, height + step, step)
    xs, ys = np.unique(np.minimum(xs, width)), np.unique(np.minimum(ys, height))
    positions = alignment.grid(xs - 0.5, ys - 0.5)
    margin = _REACH + _REACH * max(1.0, alignment.scale)  # of one kernel in each frame
    limit = np.array([camera[1] - 1, camera[0] - 1]) - margin
    seen = ((positions >= margin) & (positions <= limit)).all(2) & alignment.in_front(xs, ys)
    # A cell counts if the camera sees all its corners.
    cells = seen[:-1, :-1] & seen[1:, :-1] & seen[:-1, 1:] & seen[1:, 1:]
    box = _largest_rectangle(cells, np.diff(xs), np.diff(ys))
    if box is None:
        return None
    left, top, right, bottom = box
    return int(xs[left]), int(ys[top]), int(xs[right]), int(ys[bottom])


def _largest_rectangle(cells: np.ndarray, widths: np.ndarray, heights: np.ndarray) -> Box | None:
    """Find the rectangle of True cells with the largest area; columns and rows have sizes."""
    best, found = 0.0, None
    ends = np.concatenate([[0], np.cumsum(widths)])
    tall = np.zeros(cells.shape[1])  # height of the column of True cells that ends in this row
    count = np.zeros(cells.shape[1], int)
    for row, line in enumerate(cells):
        tall = np.where(line, tall + heights[row], 0)
        count = np.where(line, count + 1, 0)
        for column in np.flatnonzero(line):
            # As far left and right as the columns are at least as tall as this one.
            lower = np.flatnonzero(tall < tall[column])
            after = np.searchsorted(lower, column)
            left = lower[after - 1] + 1 if after else 0
            right = lower[after] if after < len(lower) else len(tall)
            area = tall[column] * (ends[right] - ends[left])
            if area > best:
                best = area
                found = int(left), int(row + 1 - count[column]), int(right), row + 1
    return found


def _bicubic(density: int) -> np.ndarray:
    if density == 1:
        return np.ones(1)
    x = np.abs(np.arange(1 - 2 * density, 2 * density) / density)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    kernel = np.where(x <= 1, near, far)
    return kernel / kernel.sum()
