"""Shifts between two frames, measured on small patches to a fraction of a pixel."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 48  # of a patch in px
_BLUR = 1.0  # standard deviation in px: noise and sharpening differ between cameras, shapes do not
_STEPS = 5  # of Gauss-Newton, at most
_CONVERGED = 0.05  # px of the last step
_LARGEST_STEP = 2.0  # px
_FARTHEST = 5.0  # px
_LEAST_CORRELATION = 0.5
_LEAST_CONTRAST = 1.5  # standard deviation in gray levels; less is noise
_LARGEST_ERROR = 0.25  # px, the standard error along the less certain direction
_MOST_ROWS = 32_767 // SIDE  # patches on top of each other: OpenCV's limit for remapped images

_HANN = np.hanning(SIDE + 2)[1:-1]
_WINDOW = np.outer(_HANN, _HANN).ravel() / _HANN.sum() ** 2
_ROOT = np.sqrt(_WINDOW).astype(np.float32)
# The blur correlates about 4 pi sigma^2 neighboring pixels.
_INDEPENDENT = 1 / (_WINDOW**2).sum() / (4 * np.pi * _BLUR**2)


class Shifts(NamedTuple):
    """How far a mapping between two frames is off.

    Attributes:
        points: centers of the patches, `[n, 2]`.
        shifts: `[n, 2]` in px of the first frame: point + shift maps to what is seen at the point.
        valid: bool `[n]`; False where a patch is too flat, differs too much, or moved too far.
    """

    points: np.ndarray
    shifts: np.ndarray
    valid: np.ndarray


def measure_shifts(
    phone: np.ndarray,
    camera: np.ndarray,
    points: np.ndarray,
    mapping: Callable[[np.ndarray], np.ndarray],
) -> Shifts:
    """Measure by how much the mapping between two gray frames is off around each point.

    Gauss-Newton on patches of equal mean and contrast, so that exposure and tone do not matter.

    Args:
        phone: uint8 `[H, W]`.
        camera: uint8 `[h, w]`, of about the same scale.
        points: `[n, 2]` in the phone's frame; they are moved inward if a patch would not fit.
        mapping: from points `[n, 2]` in the phone's frame to the camera's.
    """
    if min(phone.shape) < SIDE or not len(points):
        return Shifts(points, np.zeros_like(points), np.zeros(len(points), bool))
    corners = np.rint(points).astype(int) - SIDE // 2
    corners = np.clip(corners, 0, np.array(phone.shape[::-1]) - SIDE)
    parts = [
        _measure(phone, camera, corners[start : start + _MOST_ROWS], mapping)
        for start in range(0, len(corners), _MOST_ROWS)
    ]
    return Shifts(*map(np.concatenate, zip(*parts, strict=True)))


def resample(image: np.ndarray, positions: np.ndarray, interpolation: int) -> np.ndarray:
    """Interpolate an image at float32 positions `[H, W, 2]`, x first; edges are repeated.

    Linear and Lanczos interpolation leave detail where it is. OpenCV's cubic kernel (a = -0.75) is
    off by up to 0.04 px.
    """
    return cv2.remap(  # type: ignore[call-overload]  # one map of both coordinates is documented
        image, positions, None, interpolation, None, cv2.BORDER_REPLICATE
    )


def _measure(
    phone: np.ndarray,
    camera: np.ndarray,
    corners: np.ndarray,
    mapping: Callable[[np.ndarray], np.ndarray],
) -> Shifts:
    centers = corners + (SIDE - 1) / 2
    base, jacobian = (values.astype(np.float32) for values in _linearized(mapping, centers))
    offsets = (np.arange(SIDE) - (SIDE - 1) / 2).astype(np.float32)
    positions = (
        base[:, None, None]
        + jacobian[:, None, None, :, 0] * offsets[None, None, :, None]
        + jacobian[:, None, None, :, 1] * offsets[None, :, None, None]
    )
    limit = np.array(camera.shape[::-1], np.float32) - 1
    inside = ((positions >= 0) & (positions <= limit)).all((1, 2, 3))
    views = np.lib.stride_tricks.sliding_window_view(phone, (SIDE, SIDE))
    template, contrast = _normalized(views[corners[:, 1], corners[:, 0]].reshape(-1, SIDE))
    template_gradients = _gradients(template)
    shifts = np.zeros_like(centers)
    for _ in range(_STEPS):
        moved = (jacobian @ shifts.astype(np.float32)[..., None])[:, None, None, :, 0]
        # The patches lie on top of each other in one tall image.
        sampled = resample(camera, (positions + moved).reshape(-1, SIDE, 2), cv2.INTER_LINEAR)
        patches, _ = _normalized(sampled)
        errors = _weighted(template - patches)
        x, y = ((a + b) / 2 for a, b in zip(template_gradients, _gradients(patches), strict=True))
        normal = np.array([[_sums(x, x), _sums(x, y)], [_sums(x, y), _sums(y, y)]])
        normal = normal.transpose(2, 0, 1) + 1e-9 * np.eye(2)
        right = np.stack([_sums(x, errors), _sums(y, errors)], -1)
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        step = np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        shifts = np.clip(shifts + step, -_FARTHEST, _FARTHEST)
        still = np.abs(step).max(1) <= _CONVERGED
        if still.all():
            break
    variance = _sums(errors, errors)
    weakest = np.maximum(np.linalg.eigvalsh(normal)[:, 0], 1e-12)
    valid = (
        inside
        & still
        & (np.abs(shifts).max(1) < _FARTHEST)
        & (contrast >= _LEAST_CONTRAST)
        & (1 - variance / 2 >= _LEAST_CORRELATION)  # of patches with unit variance
        & (np.sqrt(variance / (weakest * _INDEPENDENT)) <= _LARGEST_ERROR)
    )
    return Shifts(centers, shifts, valid)


def _linearized(
    mapping: Callable[[np.ndarray], np.ndarray], centers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mapped centers `[n, 2]` and Jacobians `[n, 2, 2]`: within a patch, the mapping is affine."""
    reach = SIDE / 4
    columns = [
        (mapping(centers + step) - mapping(centers - step)) / (2 * reach)
        for step in reach * np.eye(2)
    ]
    return mapping(centers), np.stack(columns, -1)


def _normalized(stacked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blur patches `[n * SIDE, SIDE]`; give each zero mean and unit variance in the window.

    Returns them as float32 of the same shape, and their standard deviations `[n]` before.
    """
    # Neighbors leak into each other only at edges, where the window is close to zero.
    blurred = cv2.GaussianBlur(stacked.astype(np.float32), (0, 0), _BLUR)
    flat = blurred.reshape(-1, SIDE * SIDE)
    flat = flat - _sums(flat, _WINDOW.astype(np.float32)[None])[:, None].astype(np.float32)
    weighted = flat * _ROOT
    deviation = np.sqrt(_sums(weighted, weighted))
    flat = flat / np.maximum(deviation, 1e-3).astype(np.float32)[:, None]
    return flat.reshape(stacked.shape), deviation


def _gradients(stacked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted derivatives by x and y, each `[n, SIDE * SIDE]`."""
    x = cv2.Sobel(stacked, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    y = cv2.Sobel(stacked, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return _weighted(x), _weighted(y)


def _weighted(stacked: np.ndarray) -> np.ndarray:
    return stacked.reshape(-1, SIDE * SIDE) * _ROOT


def _sums(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("ni,ni->n", left, right).astype(np.float64)
