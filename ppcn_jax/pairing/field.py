"""Smooth displacement fields over a frame: cubic B-splines, fitted robustly to measurements.

A fit has two parts: polynomials for the distortion of both lenses, which also hold where nothing
was measured, and a remainder that bends little.
"""

import dataclasses

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy.interpolate import BSpline

_DEGREE = 3
# Intervals between knots along the longer side of a frame: enough for what lenses and homographies
# do not explain, such as a rolling shutter or gentle relief.
_INTERVALS = 12
_ROUNDS = 6  # of reweighting
_TUKEY = 4.685  # 95 % efficiency for Gaussian errors
# Smallest assumed scale of errors in px: a perfect fit must not reject all other measurements.
_SMALLEST_SCALE = 0.05
_RIDGE = 1e-3  # keeps polynomials small where measurements lie close together


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
        return _design(points, self) @ self.coefficients.reshape(-1, 2)


def zero_field(width: int, height: int) -> Field:
    """Return the field of a frame that displaces nothing."""
    spacing = max(width, height) / _INTERVALS
    counts = (max(1, round(side / spacing)) + _DEGREE for side in (height, width))
    return Field(np.zeros((*counts, 2)), width, height)


def fit_lens(points: np.ndarray, displacements: np.ndarray, width: int, height: int) -> Field:
    """Fit lens distortion to displacements `[n, 2]` measured at points `[n, 2]`, both in px.

    The model has all quadratic terms and radial distortion of third order. The quadratic terms
    allow for any center of distortion, and for an inaccurate homography.
    """
    penalty = scipy.sparse.diags_array(_RIDGE * np.array([0, 0, 0, 1, 1, 1, 1.0]))
    field = zero_field(width, height)
    # A spline is exactly the polynomial that it equals at enough points.
    xs, ys = (np.linspace(-0.5, side - 0.5, 4 * _INTERVALS) for side in (width, height))
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    design = _design(grid, field)
    normal = (design.T @ design).tocsc()
    columns = []
    weights = np.ones(len(points))
    for _ in range(_ROUNDS):
        columns = [
            _solve(_lens_terms(points, field, axis), displacements[:, axis], weights, penalty)
            for axis in (0, 1)
        ]
        fitted = [_lens_terms(points, field, axis) @ columns[axis] for axis in (0, 1)]
        weights = _weights(displacements - np.stack(fitted, -1))
    values = np.stack([_lens_terms(grid, field, axis) @ columns[axis] for axis in (0, 1)], -1)
    coefficients = scipy.sparse.linalg.spsolve(normal, design.T @ values)
    return dataclasses.replace(field, coefficients=coefficients.reshape(field.coefficients.shape))


def fit_field(
    points: np.ndarray, displacements: np.ndarray, width: int, height: int, stiffness: float
) -> Field:
    """Fit lens distortion and a smooth remainder to displacements measured at points, in px.

    The remainder minimizes Tukey's biweight of the errors plus `stiffness` times the sum of squared
    second differences of its coefficients (P-splines). Measurements that disagree with their
    surroundings, such as those on moving objects, lose their influence; where there are none, the
    remainder is extrapolated linearly.
    """
    lens = fit_lens(points, displacements, width, height)
    count_y, count_x = lens.coefficients.shape[:2]
    design = _design(points, lens)
    # The tiny ridge decides where fewer than three measurements leave the plane open.
    penalty = stiffness * _bending(count_y, count_x) + 1e-9 * scipy.sparse.eye(count_y * count_x)
    remainder = displacements - lens.at(points)
    weights = np.ones(len(points))
    for _ in range(_ROUNDS):
        coefficients = _solve(design, remainder, weights, penalty)
        weights = _weights(remainder - design @ coefficients)
    total = lens.coefficients + coefficients.reshape(lens.coefficients.shape)
    return dataclasses.replace(lens, coefficients=total)


def _solve(
    design: scipy.sparse.sparray | np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    penalty: scipy.sparse.sparray,
) -> np.ndarray:
    """Solve penalized least squares.

    Sparse, and so without BLAS, whose threads compete with those of other scenes.
    """
    design = scipy.sparse.csr_array(design)
    weighted = design.multiply(weights[:, None])
    normal = (design.T @ weighted + penalty).tocsc()
    return scipy.sparse.linalg.spsolve(normal, weighted.T @ values)


def _weights(errors: np.ndarray) -> np.ndarray:
    """Tukey's biweight of errors `[n, 2]`."""
    lengths = np.linalg.norm(errors, axis=1)
    # The median length of two Gaussian errors is 1.1774 times their standard deviation.
    scale = max(float(np.median(lengths)) / 1.1774, _SMALLEST_SCALE)
    return np.clip(1 - (lengths / (_TUKEY * scale)) ** 2, 0, None) ** 2


def _lens_terms(points: np.ndarray, field: Field, axis: int) -> np.ndarray:
    """Terms of the displacement along an axis, `[n, 7]`: up to quadratic ones, and r^2 x or r^2 y."""
    size = np.array([field.width, field.height])
    centered = (points - (size - 1) / 2) / (size.max() / 2)
    x, y = centered.T
    radial = (x * x + y * y) * centered[:, axis]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y, radial], -1)


def _basis(positions: np.ndarray, side: int, count: int) -> scipy.sparse.csr_array:
    """Values of `count` uniform B-splines over [-0.5, side - 0.5] at positions: `[n, count]`."""
    step = side / (count - _DEGREE)
    knots = (np.arange(count + _DEGREE + 1) - _DEGREE) * step - 0.5
    inside = np.clip(positions, knots[_DEGREE], knots[count])
    return BSpline.design_matrix(inside, knots, _DEGREE)


def _design(points: np.ndarray, field: Field) -> scipy.sparse.csr_array:
    """Values of all products of a B-spline in x and one in y at points: `[n, rows * columns]`."""
    rows, columns = field.coefficients.shape[:2]
    x = _basis(points[:, 0], field.width, columns)
    y = _basis(points[:, 1], field.height, rows)
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
