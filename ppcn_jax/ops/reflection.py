"""Continue images beyond their edges by reflection."""

import jax
import jax.numpy as jnp
from jax import lax


def reflect(x: jax.Array, border: int) -> jax.Array:
    """Continue `[N, H, W, C]` by `border` pixels on each side, without repeating the edge itself.

    Written out in slices, so that H and W, which must be larger than the border, may be symbolic.
    """
    for axis in (1, 2):
        side = x.shape[axis]
        before = lax.slice_in_dim(x, 1, border + 1, axis=axis)
        after = lax.slice_in_dim(x, side - border - 1, side - 1, axis=axis)
        x = jnp.concatenate([jnp.flip(before, axis), x, jnp.flip(after, axis)], axis)
    return x
