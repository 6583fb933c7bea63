"""Windows of an aligned pair that are fit to train on, and why the others are not."""

from typing import NamedTuple

import cv2
import numpy as np

from ppcn_jax.pairing.patches import measure_shifts

WINDOW, STRIDE = 100, 50  # px; a window is 2 x 2 blocks of the stride
LEAST_CORRELATION = 0.9
_CLIPPED = (3, 252)  # gray levels at and beyond which a pixel counts as clipped
_MOST_CLIPPED = 0.25  # of a window's pixels
# Standard deviation in gray levels of what the phone's window leaves unexplained in the camera's.
# Noise alone keeps the correlation of an evenly lit sky low, and yet the windows fit.
_NOISE = 3.0
_FARTHEST = 1.0  # px between the same detail in both
# Detail of the target relative to that of the input, both per contrast of the window.
_LEAST_SHARPNESS = 0.5
_BANDS = (1.0, 2.0)  # standard deviations in px of the two blurs between which detail lies

REASONS = {
    "saturated": f"more than {_MOST_CLIPPED:.0%} of the pixels are clipped",
    "different": f"correlation of {LEAST_CORRELATION} or less, and more than noise between them: "
    "movement, parallax, noise or other light",
    "displaced": f"shifted by more than {_FARTHEST:g} px: movement or parallax",
    "blurred": "the camera's photo has less than half of the phone's detail",
}


class Windows(NamedTuple):
    """All windows of `WINDOW` px at `STRIDE` in a pair of frames.

    Attributes:
        corners: (top, left) of each in px, `[n, 2]`.
        correlation: normalized cross-correlation of the gray windows, `[n]`, in [-1, 1].
        sharpness: detail of the target relative to the input, `[n]`.
        reason: a key of `REASONS` why a window is not used, `[n]`; "" for good ones.
        residual: median distance in px between the same detail in both frames, over all windows
            where it could be measured; None if there was none.
    """

    corners: np.ndarray
    correlation: np.ndarray
    sharpness: np.ndarray
    reason: np.ndarray
    residual: float | None

    @property
    def good(self) -> np.ndarray:
        """Corners of the windows to use."""
        return self.corners[self.reason == ""]


def judge_windows(phone: np.ndarray, camera: np.ndarray) -> Windows:
    """Judge the windows of two aligned gray frames, uint8 `[H, W]`, at least `WINDOW` px a side."""
    sums = _window_sums(phone, camera)
    pixels = WINDOW**2
    mean_a, mean_b = sums["a"] / pixels, sums["b"] / pixels
    variance_a = np.maximum(sums["aa"] / pixels - mean_a**2, 0)
    variance_b = np.maximum(sums["bb"] / pixels - mean_b**2, 0)
    product = np.sqrt(variance_a * variance_b)
    # Constant windows, whose correlation is undefined, get 0.
    correlation = (sums["ab"] / pixels - mean_a * mean_b) / np.maximum(product, 1e-6)
    detail = sums["detail_b"] * variance_a / np.maximum(sums["detail_a"] * variance_b, 1e-6)
    sharpness = np.sqrt(detail)
    clipped = np.maximum(sums["clipped_a"], sums["clipped_b"]) / pixels

    rows, columns = correlation.shape
    tops, lefts = np.arange(rows) * STRIDE, np.arange(columns) * STRIDE
    corners = np.stack(np.meshgrid(tops, lefts, indexing="ij"), -1).reshape(-1, 2)
    centers = corners[:, ::-1] + (WINDOW - 1) / 2
    found = measure_shifts(phone, camera, centers, lambda points: points)
    distance = np.linalg.norm(found.shifts, axis=1)

    unexplained = np.sqrt(variance_b * np.clip(1 - correlation**2, 0, 1))
    fits = (correlation > LEAST_CORRELATION) | (unexplained <= _NOISE)
    reason = np.select(
        [clipped.ravel() > _MOST_CLIPPED, fits.ravel()], ["saturated", ""], "different"
    )
    reason[(reason == "") & found.valid & (distance > _FARTHEST)] = "displaced"
    reason[(reason == "") & (sharpness.ravel() < _LEAST_SHARPNESS)] = "blurred"
    residual = float(np.median(distance[found.valid])) if found.valid.any() else None
    return Windows(corners, correlation.ravel(), sharpness.ravel(), reason, residual)


def _window_sums(phone: np.ndarray, camera: np.ndarray) -> dict[str, np.ndarray]:
    """Sums over each window, `[rows, columns]`, by name."""
    rows, columns = (side // STRIDE for side in phone.shape)
    phone, camera = (frame[:, : columns * STRIDE] for frame in (phone, camera))
    parts: dict[str, list[np.ndarray]] = {}
    # One row of blocks at a time, to save memory, with neighbors for the blur.
    margin = 8
    for row in range(rows):
        top, bottom = row * STRIDE, (row + 1) * STRIDE
        above = min(margin, top)
        strips = [
            frame[top - above : bottom + margin].astype(np.float32) for frame in (phone, camera)
        ]
        inner = slice(above, above + STRIDE)
        a, b = (strip[inner] for strip in strips)
        values = {"a": a, "b": b, "aa": a * a, "ab": a * b, "bb": b * b}
        for name, strip in zip("ab", strips, strict=True):
            near, far = (cv2.GaussianBlur(strip, (0, 0), sigma) for sigma in _BANDS)
            values[f"detail_{name}"] = ((near - far) ** 2)[inner]
            clipped = (strip[inner] <= _CLIPPED[0]) | (strip[inner] >= _CLIPPED[1])
            values[f"clipped_{name}"] = clipped.astype(np.float32)
        for name, value in values.items():
            blocks = value.reshape(STRIDE, columns, STRIDE).sum((0, 2), dtype=np.float64)
            parts.setdefault(name, []).append(blocks)
    sums = {}
    for name, blocks_of_rows in parts.items():
        blocks = np.stack(blocks_of_rows)
        sums[name] = blocks[:-1, :-1] + blocks[1:, :-1] + blocks[:-1, 1:] + blocks[1:, 1:]
    return sums
