"""Adversarial losses of enhancer and discriminator, on the discriminator's logits.

D, the probability that an image is real, is sigmoid(logit) for a head with one logit and the
first class of the softmax for a head with two. Both are the sigmoid of one number, the real logit.
A discriminator that classifies patches has a map of logits; the losses are means over its patches.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.losses.arguments import as_float, choice, flag, number
from ppcn_jax.ops.compiled import compiled

# The released code clips probabilities from below at this value before taking the logarithm.
PROBABILITY_FLOOR = 1e-10


@compiled
def real_logit(logits: jax.Array) -> jax.Array:
    """Convert logits to one number per image or patch, whose sigmoid is D.

    Args:
        logits: float `[N, 1]` (sigmoid head) or `[N, 2]` (softmax head, class 0 is real), or maps
            `[N, H, W, 1]` or `[N, H, W, 2]`.

    Returns:
        float32 `[N]`, of maps `[N, H, W]`; positive means that it is classified as real.

    Raises:
        TypeError: not floating.
        ValueError: another shape.

    Reference:
        Fig. 4 (sigmoid); the released code (softmax).

    Example:
        >>> logits = jnp.array([[2.0, -1.0], [0.5, 1.5]])
        >>> losses.real_logit(logits)
        Array([ 3., -1.], dtype=float32)
    """
    logits = as_float("logits", logits, 4 if jnp.ndim(logits) == 4 else 2)
    if logits.shape[-1] == 1:
        return logits[..., 0]
    if logits.shape[-1] == 2:
        return logits[..., 0] - logits[..., 1]
    raise ValueError(f"logits must be [N, 1] or [N, 2], or maps of them, got {logits.shape}")


@compiled
def texture(
    prediction: jax.Array,
    *,
    form: Literal["non_saturating", "saturating", "hinge", "least_squares"] = "non_saturating",
) -> jax.Array:
    """Adversarial loss of the enhancer.

    non_saturating: -log D(G(x));  saturating: +log(1 - D(G(x))), clipped at log 1e-10
    hinge: -z;  least_squares: (z - 1)^2 / 2, of the real logit z

    Args:
        prediction: logits of the enhanced images, float `[N, 1]` or `[N, 2]`, or maps of them.
        form: "non_saturating" is the paper's, "saturating" the released code's, whose gradient
            vanishes when the discriminator is confident. "hinge" and "least_squares" belong to the
            forms of `discrimination` of the same names.

    Returns:
        float32 `[N]`: non-saturating >= 0, where 0 means classified as real; saturating in
        [-23.03, 0]; hinge of either sign; least squares >= 0.

    Raises:
        TypeError: not floating.
        ValueError: another shape, or an unknown form.

    Reference:
        Eq. 8 per image. The paper sums over its batch of 50: with a batch mean, use the weight 50.
        Lim and Ye, Geometric GAN, 2017 (hinge); Mao et al., Least Squares Generative Adversarial
        Networks, ICCV 2017, Eq. 9.

    Example:
        >>> logits = jnp.array([[2.0], [-2.0]])
        >>> losses.texture(logits)
        Array([0.126928, 2.126928], dtype=float32)
    """
    logit = real_logit(prediction)
    choice("form", form, ("non_saturating", "saturating", "hinge", "least_squares"))
    if form == "hinge":
        return _per_image(-logit)
    if form == "least_squares":
        return _per_image(jnp.square(logit - 1) / 2)
    if form == "non_saturating":
        return _per_image(jax.nn.softplus(-logit))
    return _per_image(jnp.log(jnp.maximum(jax.nn.sigmoid(-logit), PROBABILITY_FLOOR)))


@compiled
def discrimination(
    prediction: jax.Array,
    is_real: jax.Array,
    *,
    form: Literal["cross_entropy", "hinge", "least_squares"] = "cross_entropy",
    real_label: float = 1.0,
    clip: bool = False,
) -> jax.Array:
    """Loss of the discriminator.

    cross_entropy: -(q log D + (1 - q) log(1 - D));  least_squares: (z - q)^2 / 2
    with the real logit z, q = real_label for a target image and 0 for an enhanced one
    hinge: max(0, 1 - z) for a target image, max(0, 1 + z) for an enhanced one

    Args:
        prediction: logits, float `[N, 1]` or `[N, 2]`, or maps of them.
        is_real: bool `[N]`, True where the logits are of a target image.
        form: "cross_entropy" belongs to the forms "non_saturating" and "saturating" of `texture`.
        real_label: q for target images, 0 to 1. Values below 1 (one-sided label smoothing) penalize
            overconfidence. Not with the form "hinge".
        clip: clip probabilities from below at 1e-10, as the released code does; there is no
            gradient below that. Only with the form "cross_entropy".

    Returns:
        float32 `[N]`, >= 0.

    Raises:
        TypeError: logits are not floating, `is_real` or `clip` is not bool, or `real_label` is not
            a number.
        ValueError: another shape of logits, `is_real` not `[N]`, an unknown form, `real_label`
            outside [0, 1], or an option that the form does not have.

    Reference:
        Section 3.2; Salimans et al., Improved Techniques for Training GANs, 2016 (smoothing);
        Lim and Ye, Geometric GAN, 2017 (hinge); Mao et al., Least Squares Generative Adversarial
        Networks, ICCV 2017, Eq. 9.

    Example:
        >>> logits = jnp.array([[2.0], [-2.0]])
        >>> losses.discrimination(logits, jnp.array([True, False]))
        Array([0.126928, 0.126928], dtype=float32)
    """
    logit = real_logit(prediction)
    if jnp.shape(is_real) != logit.shape[:1]:
        raise ValueError(f"is_real must have shape {logit.shape[:1]}, got {jnp.shape(is_real)}")
    if not jnp.issubdtype(jnp.result_type(is_real), jnp.bool_):
        raise TypeError(f"is_real must be bool, got {jnp.result_type(is_real)}")
    choice("form", form, ("cross_entropy", "hinge", "least_squares"))
    q = number("real_label", real_label, logit.dtype, zero=True, largest=1)
    if flag("clip", clip) and form != "cross_entropy":
        raise ValueError(f"clip must be False with the form {form!r}, which has no probabilities")
    real = jnp.asarray(is_real).reshape(-1, *[1] * (logit.ndim - 1))
    if form == "hinge":
        if isinstance(q, jax.Array) or q != 1:
            raise ValueError(f"real_label must be 1 with the form 'hinge', got {real_label!r}")
        return _per_image(jax.nn.relu(1 - jnp.where(real, logit, -logit)))
    label = jnp.where(real, jnp.asarray(q, logit.dtype), 0.0)
    if form == "least_squares":
        return _per_image(jnp.square(logit - label) / 2)
    if clip:
        log_real, log_fake = (
            jnp.log(jnp.maximum(jax.nn.sigmoid(z), PROBABILITY_FLOOR)) for z in (logit, -logit)
        )
    else:
        log_real, log_fake = jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)
    return _per_image(-(label * log_real + (1 - label) * log_fake))


@compiled
def relativistic(
    prediction: jax.Array,
    target: jax.Array,
    *,
    average: bool = False,
    axis_name: str | None = None,
) -> jax.Array:
    """Relativistic adversarial loss: the enhanced image must look more real than its target.

    paired:  -log sigmoid(z_y - z_t)
    average: -log sigmoid(z_y - mean z_t) - log sigmoid(mean z_y - z_t)

    This is the loss of the enhancer. With the arguments in the other order, the target's logits
    first, it is that of the discriminator.

    Args:
        prediction: logits z_y of the enhanced images, float `[N, 1]` or `[N, 2]`, or maps of them.
        target: logits z_t of their targets, the same shape.
        average: compare with the mean over batch and patches instead of the image's own partner.
        axis_name: mapped axis of a data-parallel step. The means are then over all devices.

    Returns:
        float32 `[N]`, >= 0; paired log 2 for equal logits.

    Raises:
        TypeError: an input is not floating, or `average` not bool.
        ValueError: another shape, or unequal shapes.

    Reference:
        Jolicoeur-Martineau, The Relativistic Discriminator, ICLR 2019, sections 4.1 and 4.2.

    Example:
        >>> y, t = jnp.array([[0.0], [3.0]]), jnp.array([[0.0], [1.0]])  # logits
        >>> losses.relativistic(y, t)
        Array([0.6931472, 0.126928 ], dtype=float32)
    """
    y, t = real_logit(prediction), real_logit(target)
    if y.shape != t.shape:
        raise ValueError(
            f"prediction and target differ in shape: {jnp.shape(prediction)} and "
            f"{jnp.shape(target)}"
        )
    dtype = jnp.promote_types(y.dtype, t.dtype)
    y, t = y.astype(dtype), t.astype(dtype)
    if not flag("average", average):
        return _per_image(jax.nn.softplus(t - y))
    mean_y, mean_t = jnp.mean(y), jnp.mean(t)
    if axis_name is not None:
        mean_y, mean_t = lax.pmean((mean_y, mean_t), axis_name)
    return _per_image(jax.nn.softplus(mean_t - y) + jax.nn.softplus(t - mean_y))


def _per_image(values: jax.Array) -> jax.Array:
    """Mean over the patches of each image, if `[N]` or `[N, H, W]` has any."""
    return values if values.ndim == 1 else jnp.mean(values, axis=(1, 2))
