"""The VGG loss: features of two images compared position by position."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair, as_mask, mean_per_image, selected
from ppcn_jax.ops.compiled import compiled


@compiled
def perceptual(
    prediction: jax.Array, target: jax.Array, *, where: jax.Array | None = None
) -> jax.Array:
    """Mean squared difference of features: the mean of (f(y) - f(t))^2.

    Args:
        prediction: features of the enhanced image, float `[N, H, W, C]`.
        target: features of the target, the same shape.
        where: bool, broadcastable to the features: those that count, None for all. An image
            without any has the loss 0.

    Returns:
        float32 `[N]`, >= 0; 0 means identical features.

    Raises:
        TypeError: an input is not floating, or `where` not bool.
        ValueError: a rank other than 4, unequal shapes, or `where` does not broadcast.

    Reference:
        The "VGG loss" of the challenge submission (section 4.3). The paper gives no formula; this
        is DPED's content loss (Ignatov et al., ICCV 2017, Eq. 4).

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.perceptual(f + 2, f)
        Array([4., 4.], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    mask = as_mask(where, prediction)
    return mean_per_image(jnp.square(selected(prediction - target, mask)), mask)
