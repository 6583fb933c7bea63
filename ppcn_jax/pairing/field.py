"""Smooth displacement fields: cubic B-splines over a frame, fitted robustly to measurements."""

import dataclasses

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy.interpolate import BSpline

_DEGREE = 3
# Intervals between knots along the longer side of a frame. Lens distortion needs few; the rest
# follows what a homography cannot, such as a rolling shutter or gentle relief.
_INTERVALS = 12
_ROUNDS = 6  # of reweighting
_TUKEY = 4.685  # 95 % efficiency for Gaussian errors
# Smallest assumed scale of errors in px: a perfect fit must not reject all other measurements.
_SMALLEST_SCALE = 0.05


@dataclasses.dataclass(frozen=True)
class Field:
    """Displacements in px over a frame of `width` x `height` px.

    Attributes:
        coefficients: of the B-splines, `[rows, columns, 2]`; zeros displace nothing.
        width: of the frame.
        height: of the frame.
    """

    coefficients: np.ndarray
    width: int
    height: int

    def on_grid(self, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """Evaluate at all combinations of `xs` [W] and `ys` [H]: float64 `[H, W, 2]`, x first."""
        columns = _basis(xs, self.width, self.coefficients.shape[1]).toarray()
        rows = _basis(ys, self.height, self.coefficients.shape[0]).toarray()
        return np.einsum("hi,ijc,wj->hwc", rows, self.coefficients, columns, optimize=True)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Evaluate at points `[n, 2]`."""
        count_y, count_x = self.coefficients.shape[:2]
        design = _design(points, self.width, self.height, count_y, count_x)
        return design @ self.coefficients.reshape(-1, 2)


def zero_field(width: int, height: int) -> Field:
    """Return the field of a frame that displaces nothing."""
    spacing = max(width, height) / _INTERVALS
    counts = (max(1, round(side / spacing)) + _DEGREE for side in (height, width))
    return Field(np.zeros((*counts, 2)), width, height)


def fit_field(
    points: np.ndarray, displacements: np.ndarray, width: int, height: int, stiffness: float
) -> Field:
    """Fit a field to displacements `[n, 2]` measured at points `[n, 2]`, both in px.

    Minimizes Tukey's biweight of the errors plus `stiffness` times the sum of squared second
    differences of the coefficients (P-splines). Measurements that disagree with their surroundings,
    such as those on moving objects, lose their influence; where there are none, the field is
    extrapolated linearly.
    """
    field = zero_field(width, height)
    count_y, count_x = field.coefficients.shape[:2]
    design = _design(points, width, height, count_y, count_x)
    # The tiny ridge decides where fewer than three measurements leave the plane open.
    penalty = stiffness * _bending(count_y, count_x) + 1e-9 * scipy.sparse.eye(count_y * count_x)
    weights = np.ones(len(points))
    coefficients = np.zeros((count_y * count_x, 2))
    for _ in range(_ROUNDS):
        # Sparse, and so without BLAS, whose threads compete with those of other scenes.
        weighted = design.multiply(weights[:, None])
        normal = (design.T @ weighted + penalty).tocsc()
        coefficients = scipy.sparse.linalg.spsolve(normal, weighted.T @ displacements)
        errors = np.linalg.norm(displacements - design @ coefficients, axis=1)
        # The median length of two Gaussian errors is 1.1774 times their standard deviation.
        scale = max(float(np.median(errors)) / 1.1774, _SMALLEST_SCALE)
        weights = np.clip(1 - (errors / (_TUKEY * scale)) ** 2, 0, None) ** 2
    return Field(coefficients.reshape(count_y, count_x, 2), width, height)


def _basis(positions: np.ndarray, side: int, count: int) -> scipy.sparse.csr_array:
    """Values of `count` uniform B-splines over [-0.5, side - 0.5] at positions: `[n, count]`."""
    step = side / (count - _DEGREE)
    knots = (np.arange(count + _DEGREE + 1) - _DEGREE) * step - 0.5
    inside = np.clip(positions, knots[_DEGREE], knots[count])
    return BSpline.design_matrix(inside, knots, _DEGREE)


def _design(
    points: np.ndarray, width: int, height: int, rows: int, columns: int
) -> scipy.sparse.csr_array:
    """Values of all products of a B-spline in x and one in y at points: `[n, rows * columns]`."""
    x = _basis(points[:, 0], width, columns)
    y = _basis(points[:, 1], height, rows)
    # Each row has as many entries as B-splines overlap.
    shape = len(points), _DEGREE + 1
    values = y.data.reshape(shape)[:, :, None] * x.data.reshape(shape)[:, None, :]
    indices = y.indices.reshape(shape)[:, :, None] * columns + x.indices.reshape(shape)[:, None, :]
    starts = np.arange(len(points) + 1) * shape[1] ** 2
    return scipy.sparse.csr_array(
        (values.ravel(), indices.ravel(), starts), (len(points), rows * columns)
    )


def _bending(rows: int, columns: int) -> scipy.sparse.csr_array:
    """Matrix of the squared second differences, along both axes and mixed."""
    x, y = np.eye(columns), np.eye(rows)
    parts = (
        np.kron(y, np.diff(x, 2, axis=0)),
        np.kron(np.diff(y, 2, axis=0), x),
        np.sqrt(2) * np.kron(np.diff(y, axis=0), np.diff(x, axis=0)),
    )
    return scipy.sparse.csr_array(sum(part.T @ part for part in parts))
