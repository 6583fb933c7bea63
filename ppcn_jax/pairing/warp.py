"""Warp the camera's frame onto the phone's, and find the area that both see."""

import cv2
import numpy as np

from ppcn_jax.pairing.align import Alignment
from ppcn_jax.pairing.patches import resample

# Left, top, right, bottom in px; right and bottom are not part of it.
Box = tuple[int, int, int, int]

_SAMPLES = 2_000_000  # taken at a time, which bounds the memory
_REACH = 4  # px that the kernels need around a position
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
        samples = resample(camera, positions, cv2.INTER_LANCZOS4)
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
    margin = _REACH * max(1.0, alignment.scale)
    limit = np.array([camera[1] - 1, camera[0] - 1]) - margin
    seen = ((positions >= margin) & (positions <= limit)).all(2) & alignment.in_front(xs, ys)
    # A cell counts if the camera sees all its corners.
    cells = seen[:-1, :-1] & seen[1:, :-1] & seen[:-1, 1:] & seen[1:, 1:]
    return _largest_rectangle(cells, xs, ys)


def _largest_rectangle(cells: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> Box | None:
    """Find the largest box of True cells, whose edges are at `xs` [columns + 1] and `ys`."""
    best = 0
    found: Box | None = None
    # Where the run of True cells that ends in this row begins, by column; one column more ends all.
    begins = np.zeros(cells.shape[1] + 1, int)
    for row, line in enumerate(cells):
        begins[:-1] = np.where(line, begins[:-1], row + 1)
        begins[-1] = row + 1
        runs: list[tuple[int, int]] = []  # (leftmost column, begin), taller to the right
        for column, begin in enumerate(begins.tolist()):
            leftmost = column
            while runs and runs[-1][1] < begin:
                leftmost, start = runs.pop()
                area = int((xs[column] - xs[leftmost]) * (ys[row + 1] - ys[start]))
                if area > best:
                    best = area
                    corners = xs[leftmost], ys[start], xs[column], ys[row + 1]
                    left, top, right, bottom = map(int, corners)
                    found = left, top, right, bottom
            if not runs or runs[-1][1] > begin:
                runs.append((leftmost, begin))
    return found


def _bicubic(density: int) -> np.ndarray:
    if density == 1:
        return np.ones(1)
    x = np.abs(np.arange(1 - 2 * density, 2 * density) / density)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    kernel = np.where(x <= 1, near, far)
    return kernel / kernel.sum()
