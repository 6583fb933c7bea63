"""Paired flips and rotations, on the device, drawn from per-image keys.

All eight of them: a horizontal flip and rotations by 90 degrees compose to a vertical flip, so
"flip and rotation" (the paper) and "both flips and rotation" (its code) are the same eight.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

Batch = Mapping[str, jax.Array]


def image_keys(seed: int, step: jax.Array, count: int, axis_name: str | None = None) -> jax.Array:
    """One random key per image of the local batch.

    A key depends on (seed, step, position in the global batch) only, so the draws are the same
    however many devices share the batch.

    Args:
        seed: of the run.
        step: int32 scalar.
        count: images in the local batch.
        axis_name: mapped axis over which the global batch is divided.

    Returns:
        Keys `[count]`.
    """
    first = 0 if axis_name is None else lax.axis_index(axis_name) * count
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(count))


def random_dihedral(keys: jax.Array, *batches: jax.Array) -> tuple[jax.Array, ...]:
    """Apply one of the eight flips and 90-degree rotations to each image, uniformly.

    Args:
        keys: `[N]`; image n of every batch is turned the same way.
        batches: `[N, S, S, C]` each.

    Returns:
        The turned batches.

    Raises:
        ValueError: images that are not square.

    Reference:
        Spec of the training data, section 4.2.
    """
    for batch in batches:
        if batch.shape[1] != batch.shape[2]:
            raise ValueError(f"rotation by 90 degrees needs square images, got {batch.shape}")
    bits = jax.vmap(lambda key: jax.random.bernoulli(key, shape=(3,)))(keys)
    upside_down, mirrored, transposed = (bits[:, i, None, None, None] for i in range(3))

    def turn(x):
        x = jnp.where(upside_down, x[:, ::-1], x)
        x = jnp.where(mirrored, x[:, :, ::-1], x)
        return jnp.where(transposed, x.swapaxes(1, 2), x)

    return tuple(turn(batch) for batch in batches)


def prepare(keys: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Augmented float images of a batch.

    Args:
        keys: `[N]`, one per image.
        batch: `{"input", "target"}`, uint8 `[N, S, S, 3]`.

    Returns:
        Input and target, float32 in [0, 1], turned alike.
    """
    inputs, targets = random_dihedral(keys, batch["input"], batch["target"])
    return inputs.astype(jnp.float32) / 255, targets.astype(jnp.float32) / 255
