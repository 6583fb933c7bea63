"""Total variation of the enhanced image."""

from typing import Literal

import jax
import jax.numpy as jnp

from ppcn_jax.losses.arguments import (
    as_float,
    as_float_pair,
    as_mask,
    check_sides,
    choice,
    mean_per_image,
    number,
    selected,
)
from ppcn_jax.losses.pixel import absolute
from ppcn_jax.ops.compiled import compiled


@compiled
def total_variation(
    prediction: jax.Array,
    *,
    form: Literal["squared", "l1"] = "squared",
    where: jax.Array | None = None,
) -> jax.Array:
    """Anisotropic total variation.

    squared: TV = sum (d_y y)^2 / ((H-1) W C) + sum (d_x y)^2 / (H (W-1) C)
    l1:      TV = sum |d_y y| / ((H-1) W C) + sum |d_x y| / (H (W-1) C)

    Args:
        prediction: y, float `[N, H, W, C]`, both sides at least 2 px.
        form: "squared" is the paper's; "l1" does not prefer many small steps to an edge.
        where: bool, broadcastable to the image: the pixels that count, None for all. A difference
            counts if both of its pixels do.

    Returns:
        float32 `[N]`, >= 0; 0 means a flat image.

    Raises:
        TypeError: the input is not floating, or `where` not bool.
        ValueError: a rank other than 4, a side below 2, an unknown form, or `where` does not
            broadcast.

    Reference:
        Eq. 11 is printed as the norm of a sum of two gradients, whose shapes differ. Here each
        direction is averaged separately. Rudin, Osher and Fatemi, Nonlinear Total Variation Based
        Noise Removal, 1992 (absolute values).

    Example:
        >>> y = jnp.zeros((2, 8, 8, 3)).at[:, 4:].set(1)  # one edge
        >>> losses.total_variation(y)
        Array([0.14285715, 0.14285715], dtype=float32)
    """
    prediction = as_float("prediction", prediction, 4)
    check_sides("total variation", prediction, 2)
    choice("form", form, ("squared", "l1"))
    price = jnp.square if form == "squared" else absolute
    down, right = differences(prediction, as_mask(where, prediction))
    return sum_of_means((price(down[0]), down[1]), (price(right[0]), right[1]))


@compiled
def edge_aware_total_variation(
    prediction: jax.Array,
    target: jax.Array,
    *,
    edge_sensitivity: float = 10.0,
    where: jax.Array | None = None,
) -> jax.Array:
    """Total variation that costs little where the target has edges.

    TV = mean |d_y y| exp(-b e_y) + mean |d_x y| exp(-b e_x)  with  e = mean_c |d t|

    Args:
        prediction: y, float `[N, H, W, C]`, both sides at least 2 px.
        target: t, the same shape and range.
        edge_sensitivity: b, 0 or more: a step of 1/b in the target lowers the price to 1/e.
        where: bool, broadcastable to the image: the pixels that count, None for all. A difference
            counts if both of its pixels do.

    Returns:
        float32 `[N]` in units of pixel values, >= 0; 0 means a flat image, not an identical one.

    Raises:
        TypeError: an input is not floating, `edge_sensitivity` is not a number, or `where` not
            bool.
        ValueError: a rank other than 4, unequal shapes, a side below 2, a negative
            `edge_sensitivity`, or `where` does not broadcast.

    Reference:
        Godard et al., Unsupervised Monocular Depth Estimation with Left-Right Consistency,
        CVPR 2017, Eq. 5, which smooths a disparity along the edges of its image (b = 1).

    Example:
        >>> y = jnp.zeros((2, 8, 8, 3)).at[:, 4:].set(1)  # one edge, as in the target
        >>> losses.edge_aware_total_variation(y, y)
        Array([6.4857e-06, 6.4857e-06], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    check_sides("edge-aware total variation", prediction, 2)
    sensitivity = number("edge_sensitivity", edge_sensitivity, prediction.dtype, zero=True)
    mask = as_mask(where, prediction)

    def price(steps: tuple, edges: tuple) -> tuple[jax.Array, jax.Array | None]:
        (step, counts), (edge, _) = steps, edges
        if counts is None:
            strength = jnp.mean(absolute(edge), axis=3, keepdims=True)
        else:
            channels = jnp.sum(counts, axis=3, keepdims=True, dtype=edge.dtype)
            strength = jnp.sum(absolute(edge), axis=3, keepdims=True) / jnp.maximum(channels, 1)
        return absolute(step) * jnp.exp(-sensitivity * strength), counts

    return sum_of_means(*map(price, differences(prediction, mask), differences(target, mask)))


def differences(
    images: jax.Array, mask: jax.Array | None
) -> tuple[tuple[jax.Array, jax.Array | None], tuple[jax.Array, jax.Array | None]]:
    """Differences of neighbors down and to the right, each with a mask of its own.

    A difference counts if the mask of images `[N, H, W, C]` selects both pixels; others are 0.
    """
    if mask is None:
        down = right = None
    else:
        down, right = mask[:, 1:] & mask[:, :-1], mask[:, :, 1:] & mask[:, :, :-1]
    vertical = selected(images[:, 1:] - images[:, :-1], down)
    horizontal = selected(images[:, :, 1:] - images[:, :, :-1], right)
    return (vertical, down), (horizontal, right)


def sum_of_means(*directions: tuple[jax.Array, jax.Array | None]) -> jax.Array:
    """Mean of the values that count in each direction, `[N]`, and the sum of both."""
    down, right = directions
    return mean_per_image(*down) + mean_per_image(*right)
