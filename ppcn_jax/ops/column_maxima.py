"""The largest entry of every column of a matrix too large to be held.

Its rows are computed in blocks, once for the maxima and once more for the gradient; memory holds
one block instead of the matrix.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# The second computation of an entry may round differently; relative to the entry.
ROUNDING = 1e-5


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def column_maxima(
    rows: Callable[..., jax.Array], block: int, y: jax.Array, *operands: jax.Array
) -> jax.Array:
    """Maxima over i of A_ij, where the rows A_i depend on y_i and on what all rows share.

    Equals `jnp.max(rows(y, *operands), axis=0)`, with the same gradient: where several entries of
    a column tie, each has an even share. Forward-mode derivatives are not available.

    Args:
        rows: `rows(y[k], *operands) -> A[k]` for any slice k of rows; entries >= 0. A function of
            a module, since it is a key of compilation caches.
        block: how many rows are computed at once, 1 to P.
        y: float `[P, C]`, what each row of A is made of.
        *operands: what all rows are made of.

    Returns:
        `[Q]` for A of shape `[P, Q]`.
    """
    return _forward(rows, block, y, *operands)[0]


def _forward(rows, block, y, *operands):
    def update(start, indices, is_new, carry):
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


def _backward(rows, block, residuals, cotangent):
    # dL/dA_ij is cotangent_j, shared by the entries that attain the maximum of column j, and 0
    # elsewhere. A row of A depends on its own y_i and the operands only, so that each block is
    # pulled back alone (through its normalization along the row too); operands add up.
    y, operands, largest, owner, ties = residuals
    share = cotangent / ties

    def accumulate(start, indices, is_new, carry):
        y_bar, operands_bar = carry
        a, pull_back = jax.vjp(rows, lax.dynamic_slice_in_dim(y, start, block), *operands)
        # A lone winner is known by its place, whatever the rounding of `a` is this time.
        alone = indices[:, None] == owner[None]
        attains = jnp.where(ties[None] == 1, alone, a >= largest[None] * (1 - ROUNDING))
        block_bar, *more = pull_back(jnp.where(attains & is_new[:, None], share[None], 0))
        block_bar += lax.dynamic_slice_in_dim(y_bar, start, block)
        y_bar = lax.dynamic_update_slice_in_dim(y_bar, block_bar, start, axis=0)
        return y_bar, jax.tree.map(jnp.add, operands_bar, tuple(more))

    zeros = jax.tree.map(jnp.zeros_like, (y, operands))
    y_bar, operands_bar = _over_blocks(accumulate, block, len(y), zeros)
    return y_bar, *operands_bar


column_maxima.defvjp(_forward, _backward)


def _over_blocks(step, block: int, length: int, carry):
    """carry = step(start, row indices, which rows no block before had, carry), block by block.

    The last block starts early enough to be whole, instead of a padded copy of all rows.
    """

    def body(state):
        seen, carry = state
        start = jnp.minimum(seen, length - block)
        indices = start + jnp.arange(block)
        return seen + block, step(start, indices, indices >= seen, carry)

    # Not a scan: differentiating a scan around that one, JAX would store the masks of all blocks.
    return lax.while_loop(lambda state: state[0] < length, body, (0, carry))[1]
