"""Adversarial losses of enhancer and discriminator, on the discriminator's logits.

D, the probability that an image is real, is sigmoid(logit) for a head with one logit and the
first class of the softmax for a head with two. Both are the sigmoid of one number, the real logit.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import as_float

# The released code clips probabilities from below at this value before taking the logarithm.
PROBABILITY_FLOOR = 1e-10


def real_logit(logits: jax.Array) -> jax.Array:
    """Convert logits to one number per image, whose sigmoid is D.

    Args:
        logits: float `[N, 1]` (sigmoid head) or `[N, 2]` (softmax head, class 0 is real).

    Returns:
        float32 `[N]`; positive means that the image is classified as real.

    Raises:
        TypeError: not floating.
        ValueError: another shape.

    Reference:
        Fig. 4 (sigmoid); the released code (softmax).
    """
    logits = as_float("logits", logits, 2)
    if logits.shape[1] == 1:
        return logits[:, 0]
    if logits.shape[1] == 2:
        return logits[:, 0] - logits[:, 1]
    raise ValueError(f"logits must be [N, 1] or [N, 2], got {logits.shape}")


def texture(
    prediction: jax.Array,
    *,
    form: Literal["non_saturating", "saturating"] = "non_saturating",
) -> jax.Array:
    """Adversarial loss of the enhancer.

    non_saturating: -log D(G(x));  saturating: +log(1 - D(G(x))), clipped at log 1e-10

    Args:
        prediction: logits of the enhanced images, float `[N, 1]` or `[N, 2]`.
        form: "non_saturating" is the paper's, "saturating" the released code's, whose gradient
            vanishes when the discriminator is confident.

    Returns:
        float32 `[N]`: non-saturating >= 0, where 0 means classified as real; saturating in
        [-23.03, 0].

    Raises:
        TypeError: not floating.
        ValueError: another shape, or an unknown form.

    Reference:
        Eq. 8 per image. The paper sums over its batch of 50: with a batch mean, use the weight 50.
    """
    logit = real_logit(prediction)
    if form == "non_saturating":
        return jax.nn.softplus(-logit)
    if form == "saturating":
        return jnp.log(jnp.maximum(jax.nn.sigmoid(-logit), PROBABILITY_FLOOR))
    raise ValueError(f"form must be 'non_saturating' or 'saturating', got {form!r}")


def discrimination(
    prediction: jax.Array,
    is_real: jax.Array,
    *,
    real_label: float = 1.0,
    clip: bool = False,
) -> jax.Array:
    """Loss of the discriminator: binary cross-entropy.

    -(q log D + (1 - q) log(1 - D)) with q = real_label for a target image, 0 for an enhanced one

    Args:
        prediction: logits, float `[N, 1]` or `[N, 2]`.
        is_real: bool `[N]`, True where the logits are of a target image.
        real_label: q for target images. Values below 1 (one-sided label smoothing) penalize
            overconfidence.
        clip: clip probabilities from below at 1e-10, as the released code does; there is no
            gradient below that.

    Returns:
        float32 `[N]`, >= 0.

    Raises:
        TypeError: logits are not floating.
        ValueError: another shape of logits, or `is_real` not `[N]`.

    Reference:
        Section 3.2; Salimans et al., Improved Techniques for Training GANs, 2016 (smoothing).
    """
    logit = real_logit(prediction)
    if jnp.shape(is_real) != logit.shape:
        raise ValueError(f"is_real must have shape {logit.shape}, got {jnp.shape(is_real)}")
    label = jnp.where(is_real, real_label, 0.0)
    if clip:
        log_real, log_fake = (
            jnp.log(jnp.maximum(jax.nn.sigmoid(z), PROBABILITY_FLOOR)) for z in (logit, -logit)
        )
    else:
        log_real, log_fake = jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)
    return -(label * log_real + (1 - label) * log_fake)
