"""Total variation of the enhanced image."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float


def total_variation(prediction: jax.Array) -> jax.Array:
    """Anisotropic squared total variation.

    TV = sum (d_y y)^2 / ((H-1) W C) + sum (d_x y)^2 / (H (W-1) C)

    Args:
        prediction: y, float `[N, H, W, C]`, both sides at least 2 px.

    Returns:
        float32 `[N]`, >= 0; 0 means a flat image.

    Raises:
        TypeError: the input is not floating.
        ValueError: a rank other than 4, or a side below 2.

    Reference:
        Eq. 11 is printed as the norm of a sum of two gradients, whose shapes differ. Here each
        direction is averaged separately.
    """
    prediction = as_float("prediction", prediction, 4)
    if min(prediction.shape[1:3]) < 2:
        raise ValueError(f"total variation needs sides of at least 2 px, got {prediction.shape}")
    vertical = jnp.square(prediction[:, 1:] - prediction[:, :-1])
    horizontal = jnp.square(prediction[:, :, 1:] - prediction[:, :, :-1])
    return jnp.mean(vertical, axis=(1, 2, 3)) + jnp.mean(horizontal, axis=(1, 2, 3))
