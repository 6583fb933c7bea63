"""Column maxima of a matrix that is too large to store.

Rows are computed in blocks, once for the maxima and once more for the gradient, so that only one
block is in memory at a time.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# Relative tolerance for recognizing a maximum when its entry is recomputed.
ROUNDING = 1e-5


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def column_maxima(
    rows: Callable[..., jax.Array], block: int, y: jax.Array, *operands: jax.Array
) -> jax.Array:
    """Compute `jnp.max(rows(y, *operands), axis=0)` in blocks of rows.

    The gradient is the same too: entries of a column that tie share it equally. Forward-mode
    derivatives are not available.

    Args:
        rows: `rows(y[k], *operands) -> A[k]` for any slice k of rows; row A_i depends on y_i and
            the operands only, and entries are >= 0. Pass a module-level function, because it is
            part of the key of compilation caches.
        block: number of rows computed at once, 1 to P.
        y: float `[P, C]`, one row per row of A.
        *operands: arrays shared by all rows.

    Returns:
        `[Q]` for A of shape `[P, Q]`.
    """
    return _forward(rows, block, y, *operands)[0]


def _forward(
    rows: Callable[..., jax.Array], block: int, y: jax.Array, *operands: jax.Array
) -> tuple[jax.Array, tuple]:
    def update(start: jax.Array, indices: jax.Array, is_new: jax.Array, carry: tuple) -> tuple:
        largest, owner, ties = carry
        a = rows(lax.dynamic_slice_in_dim(y, start, block), *operands)
        a = jnp.where(is_new[:, None], a, -1)
        local = jnp.max(a, axis=0)
        local_ties = jnp.sum(a == local[None], axis=0)
        owner = jnp.where(local > largest, indices[jnp.argmax(a, axis=0)], owner)
        grown = jnp.maximum(largest, local)
        ties = jnp.where(largest == grown, ties, 0) + jnp.where(local == grown, local_ties, 0)
        return grown, owner, ties

    columns = jax.eval_shape(rows, y[:block], *operands).shape[1]
    start = jnp.full(columns, -1, y.dtype), *(jnp.zeros(columns, int) for _ in range(2))
    largest, owner, ties = _over_blocks(update, block, len(y), start)
    return largest, (y, operands, largest, owner, ties)


def _backward(
    rows: Callable[..., jax.Array], block: int, residuals: tuple, cotangent: jax.Array
) -> tuple[jax.Array, ...]:
    # dL/dA_ij is cotangent_j, split among the entries that attain the maximum of column j, and 0
    # elsewhere. A row of A depends only on its own y_i and the operands, so each block is pulled
    # back separately and the gradients of the operands are summed.
    y, operands, largest, owner, ties = residuals
    share = cotangent / ties

    def accumulate(start: jax.Array, indices: jax.Array, is_new: jax.Array, carry: tuple) -> tuple:
        y_bar, operands_bar = carry
        a, pull_back = jax.vjp(rows, lax.dynamic_slice_in_dim(y, start, block), *operands)
        # A unique maximum is identified by index, since recomputed values may round differently.
        is_owner = indices[:, None] == owner[None]
        attains = jnp.where(ties[None] == 1, is_owner, a >= largest[None] * (1 - ROUNDING))
        block_bar, *more = pull_back(jnp.where(attains & is_new[:, None], share[None], 0))
        block_bar += lax.dynamic_slice_in_dim(y_bar, start, block)
        y_bar = lax.dynamic_update_slice_in_dim(y_bar, block_bar, start, axis=0)
        return y_bar, jax.tree.map(jnp.add, operands_bar, tuple(more))

    zeros = jax.tree.map(jnp.zeros_like, (y, operands))
    y_bar, operands_bar = _over_blocks(accumulate, block, len(y), zeros)
    return y_bar, *operands_bar


column_maxima.defvjp(_forward, _backward)


def _over_blocks(step: Callable[..., tuple], block: int, length: int, carry: tuple) -> tuple:
    """Update `carry = step(start, row indices, is_new, carry)` for each block of rows.

    The last block overlaps the one before it, which avoids padding; `is_new` marks rows that no
    earlier block contained.
    """

    def body(state: tuple) -> tuple:
        seen, carry = state
        start = jnp.minimum(seen, length - block)
        indices = start + jnp.arange(block)
        return seen + block, step(start, indices, indices >= seen, carry)

    # Not lax.scan: when an outer scan is differentiated, JAX would store the masks of all blocks.
    return lax.while_loop(lambda state: state[0] < length, body, (0, carry))[1]
