"""The VGG loss: features of two images compared position by position."""

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float_pair


def perceptual(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared difference of features: the mean of (f(y) - f(t))^2.

    Args:
        prediction: features of the enhanced image, float `[N, H, W, C]`.
        target: features of the target, the same shape.

    Returns:
        float32 `[N]`, >= 0; 0 means identical features.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, or unequal shapes.

    Reference:
        The "VGG loss" of the challenge submission (section 4.3). The paper gives no formula; this
        is DPED's content loss (Ignatov et al., ICCV 2017, Eq. 4).
    """
    prediction, target = as_float_pair(prediction, target)
    return jnp.mean(jnp.square(prediction - target), axis=(1, 2, 3))
