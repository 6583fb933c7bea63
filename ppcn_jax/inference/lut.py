"""Fit a color lookup table to what an enhancer does to photos.

An enhancer adapts to each photo and its neighborhoods; a table maps every color to one other color.
"""

import dataclasses

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

# Weight of the squared differences between neighboring nodes; the mean squared error of a photo has
# weight 1. On eight photos it hardly changes how much of the change the table holds (less than
# 0.2 % from 1e-7 to 1e-5), but second differences between nodes fall from 0.3 to 0.05.
_SMOOTHNESS = 1e-5
_TOLERANCE = 1e-5  # of the linear solver, relative
_CORNERS = [(r, g, b) for r in (0, 1) for g in (0, 1) for b in (0, 1)]


@dataclasses.dataclass(frozen=True)
class Table:
    """A color lookup table.

    Attributes:
        nodes: float32 `[N, N, N, 3]`, output RGB in [0, 1] for evenly spaced input red, green, blue.
    """

    nodes: np.ndarray

    def apply(self, colors: np.ndarray) -> np.ndarray:
        """Interpolate trilinearly: RGB in [0, 1], float `[..., 3]` -> float32 of the same shape."""
        flat = colors.reshape(-1, 3)
        mapped = _weights(flat, len(self.nodes)) @ self.nodes.reshape(-1, 3)
        return mapped.astype(np.float32).reshape(colors.shape)


class Fit:
    """Least squares over photos, each of which counts the same."""

    def __init__(self, size: int):
        """Start a table with `size` nodes per axis, at least 2."""
        self.size = size
        self._matrix = sparse.csr_matrix((size**3, size**3))
        self._change = np.zeros((size**3, 3))

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Add a photo's pixels before and after, float `[P, 3]`, RGB in [0, 1]."""
        weights = _weights(before, self.size)
        self._matrix += weights.T @ weights / len(before)
        self._change += weights.T @ (after - before).astype(np.float64) / len(before)

    def solve(self) -> Table:
        """The table: the smoothest change where colors are rare, and each channel increases."""
        matrix = (self._matrix + _SMOOTHNESS * _laplacian(self.size)).tocsr()
        jacobi = sparse.diags(1 / matrix.diagonal())
        change = np.stack(
            [
                linalg.cg(matrix, channel, rtol=_TOLERANCE, M=jacobi, maxiter=10_000)[0]
                for channel in self._change.T
            ],
            axis=-1,
        )
        nodes = _identity(self.size) + change.reshape(*[self.size] * 3, 3)
        for channel in range(3):  # a darker red never gets a brighter red
            nodes[..., channel] = np.maximum.accumulate(nodes[..., channel], axis=channel)
        return Table(nodes.clip(0, 1).astype(np.float32))


def explained(table: Table, before: np.ndarray, after: np.ndarray) -> float:
    """Share of the squared change from before to after that the table makes, at most 1."""
    change = np.sum(np.square(after - before, dtype=np.float64))
    rest = np.sum(np.square(after - table.apply(before), dtype=np.float64))
    return float(1 - rest / change) if change else 1.0


def _identity(size: int) -> np.ndarray:
    axis = np.linspace(0, 1, size)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def _weights(colors: np.ndarray, size: int) -> sparse.csr_matrix:
    """Trilinear weights of the nodes, `[P, size^3]`, for RGB `[P, 3]` in [0, 1]."""
    place = colors.astype(np.float64).clip(0, 1) * (size - 1)
    low = np.minimum(place.astype(np.int64), size - 2)
    share = place - low
    columns, values = [], []
    for corner in _CORNERS:
        red, green, blue = (low + corner).T
        columns.append((red * size + green) * size + blue)
        values.append(np.prod(np.where(corner, share, 1 - share), axis=1))
    rows = np.repeat(np.arange(len(colors)), len(_CORNERS))
    entries = np.stack(values, axis=1).ravel(), (rows, np.stack(columns, axis=1).ravel())
    return sparse.csr_matrix(entries, shape=(len(colors), size**3))


def _laplacian(size: int) -> sparse.csr_matrix:
    """Sum of squared differences between neighboring nodes, as a quadratic form."""
    difference = sparse.diags([-np.ones(size - 1), np.ones(size - 1)], [0, 1], (size - 1, size))
    one, line = sparse.identity(size), difference.T @ difference
    return (
        sparse.kron(sparse.kron(line, one), one)
        + sparse.kron(sparse.kron(one, line), one)
        + sparse.kron(sparse.kron(one, one), line)
    ).tocsr()
