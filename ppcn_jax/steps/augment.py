"""Paired flips and rotations, computed on the device from one random key per image.

All eight are drawn: a horizontal flip and rotations by 90 degrees compose to a vertical flip, so
"flip and rotation" (the paper) and "both flips and rotation" (its code) are the same eight.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

Batch = Mapping[str, jax.Array]


def image_keys(seed: int, step: jax.Array, count: int, axis_name: str | None = None) -> jax.Array:
    """Random keys `[count]`, one per image of the local batch.

    A key depends only on seed, step and the image's position in the global batch, which is divided
    over the mapped axis `axis_name`. The number of devices therefore does not change the keys.
    """
    first = 0 if axis_name is None else lax.axis_index(axis_name) * count
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(count))


def random_dihedral(keys: jax.Array, *batches: jax.Array) -> tuple[jax.Array, ...]:
    """Apply one of the eight flips and rotations to each image, uniformly drawn from its key.

    Each batch is `[N, S, S, C]`; image n of every batch is transformed in the same way.

    Raises:
        ValueError: the images are not square.

    Reference:
        Spec of the training data, section 4.2.
    """
    for batch in batches:
        if batch.shape[1] != batch.shape[2]:
            raise ValueError(f"rotation by 90 degrees needs square images, got {batch.shape}")
    bits = jax.vmap(lambda key: jax.random.bernoulli(key, shape=(3,)))(keys)
    upside_down, mirrored, transposed = (bits[:, i, None, None, None] for i in range(3))

    def transform(x: jax.Array) -> jax.Array:
        x = jnp.where(upside_down, x[:, ::-1], x)
        x = jnp.where(mirrored, x[:, :, ::-1], x)
        return jnp.where(transposed, x.swapaxes(1, 2), x)

    return tuple(map(transform, batches))


def prepare(keys: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Augmented input and target, float32 in [0, 1], of uint8 images `[N, S, S, 3]`."""
    inputs, targets = random_dihedral(keys, batch["input"], batch["target"])
    return inputs.astype(jnp.float32) / 255, targets.astype(jnp.float32) / 255
