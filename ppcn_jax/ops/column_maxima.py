"""Column maxima of a matrix that is too large to store.

Rows are computed in blocks, once for the maxima and once more for each derivative, so that only one
block is in memory at a time.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# Relative tolerance for recognizing a maximum when its entry is recomputed.
ROUNDING = 1e-5


def column_maxima(
    rows: Callable[..., jax.Array], block: int, y: jax.Array, *operands: jax.Array
) -> jax.Array:
    """Compute `jnp.max(rows(y, *operands), axis=0)` in blocks of rows.

    The derivatives, forward, reverse and of any order, are those of `jnp.max`: entries of a column
    that tie share it equally.

    Args:
        rows: `rows(y[k], *operands) -> A[k]` for any slice k of rows; row A_i depends on y_i and
            the operands only, and entries are >= 0, also of a row y_i = 0. Pass a module-level
            function, because it is part of the key of compilation caches.
        block: number of rows computed at once, 1 to P.
        y: float `[P, C]`, one row per row of A.
        operands: arrays shared by all rows.

    Returns:
        `[Q]` for A of shape `[P, Q]`.
    """
    return _maxima(rows, block, y, *operands)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _maxima(
    rows: Callable[..., jax.Array], block: int, y: jax.Array, *operands: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The maximum of each column, the first row that attains it, and the number of such rows.

    All are floats, exact up to 2^24 rows: tangents of integers lack the axes that those vary over.
    """

    def update(carry: tuple, first: jax.Array) -> tuple[tuple, None]:
        largest, owner, ties = carry
        block_rows, indices, is_new = _block(y, first, block)
        a = jnp.where(is_new, rows(block_rows, *operands), -1)
        local = jnp.max(a, axis=0)
        local_ties = jnp.sum(a == local[None], axis=0, dtype=a.dtype)
        local_owner = (indices[0, 0] + jnp.argmax(a, axis=0)).astype(a.dtype)
        owner = jnp.where(local > largest, local_owner, owner)
        grown = jnp.maximum(largest, local)
        ties = jnp.where(largest == grown, ties, 0) + jnp.where(local == grown, local_ties, 0)
        return (grown, owner, ties), None

    row = rows(y[:1], *operands)[0]
    start = _filled(row, -1), _filled(row, 0), _filled(row, 0)
    return lax.scan(update, start, jnp.arange(0, len(y), block))[0]


@_maxima.defjvp
def _derivative(
    rows: Callable[..., jax.Array], block: int, primals: tuple, tangents: tuple
) -> tuple[tuple, tuple]:
    largest, owner, ties = _maxima(rows, block, *primals)
    constants = lax.stop_gradient((largest, owner, ties))
    attained = functools.partial(_attained, rows, block, *constants)
    _, tangent = jax.jvp(attained, primals, tangents)
    return (largest, owner, ties), (tangent, _filled(owner, 0), _filled(ties, 0))


def _attained(
    rows: Callable[..., jax.Array],
    block: int,
    largest: jax.Array,
    owner: jax.Array,
    ties: jax.Array,
    y: jax.Array,
    *operands: jax.Array,
) -> jax.Array:
    """The mean of the entries that attain the maximum of their column: a sum over all rows.

    A sum keeps nothing of a block for its derivatives, and `checkpoint` computes rows again.
    """

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def partial_sum(first: jax.Array, y: jax.Array, *operands: jax.Array) -> jax.Array:
        block_rows, indices, is_new = _block(y, first, block)
        a = rows(block_rows, *operands)
        # A unique maximum is identified by index, since recomputed values may round differently.
        close = is_new & (a >= largest[None] * (1 - ROUNDING))
        attains = jnp.where(ties[None] == 1, indices.astype(a.dtype) == owner[None], close)
        return jnp.sum(jnp.where(attains & is_new, a, 0), axis=0)

    def add(total: jax.Array, first: jax.Array) -> tuple[jax.Array, None]:
        return total + partial_sum(first, y, *operands), None

    start = _filled(largest, 0)
    return lax.scan(add, start, jnp.arange(0, len(y), block))[0] / ties


def _block(y: jax.Array, first: jax.Array, block: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows `[block, C]` from `first` on, their indices, and which of them are new, `[block, 1]`.

    The last block overlaps the one before it, which saves a padded copy of y.
    """
    start = jnp.minimum(first, len(y) - block)
    indices = (start + jnp.arange(block))[:, None]
    return lax.dynamic_slice_in_dim(y, start, block), indices, indices >= first


def _filled(row: jax.Array, value: float) -> jax.Array:
    """A constant of the type of `row`, which includes its sharding and the axes it varies over."""
    constant = jnp.asarray(value, row.dtype)
    return jnp.where(row < 0, constant, constant)
