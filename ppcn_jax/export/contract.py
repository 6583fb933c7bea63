"""What every exported file does, and what it says about itself."""

import json
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.ops.portable import portable
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model, settings_of

INPUT, OUTPUT = "images", "result"
FORMAT = "ppcn-jax export 1"

_PHOTO = "the photo"
_ENLARGEMENT = (
    "a photo of 8 bits after bicubic enlargement (Pillow's BICUBIC) by {scale} a side, again of "
    "8 bits; the result has the same size"
)


def clipped(model: Model) -> Callable[[jax.Array], jax.Array]:
    """What an exported file computes, in JAX.

    The parameters are constants of it, and so parts of a file made from it.

    Args:
        model: the network.

    Returns:
        A function of float32 images `[N, H, W, 3]` that returns the network's output, clipped to
        [0, 1].
    """

    def run(images: jax.Array) -> jax.Array:
        with portable():
            result = model.module.apply({"params": model.params}, images)
        return jnp.clip(jnp.asarray(result), 0, 1)

    return run


def describe(model: Model) -> dict[str, str]:
    """The metadata inside an exported file.

    Args:
        model: the network.

    Returns:
        Text by name; the same names for every network and format.
    """
    enlargement = _ENLARGEMENT.format(scale=scale_of(model))
    uses = []
    if model.name in ENHANCERS:
        uses.append(_PHOTO)
    if model.name in SUPER_RESOLVERS:
        uses.append(enlargement)
    return {
        "format": FORMAT,
        "network": model.name,
        "settings": json.dumps(settings_of(model.module)),
        "preset": model.preset,
        "source": model.source,
        "license": "that of the weights, which their source tells; ppcn-jax itself is Apache-2.0",
        "input": f"float32 [N, H, W, 3], RGB in [0, 1], H and W >= {SMALLEST_SIDE}: "
        + ", or ".join(uses),
        "output": "float32 [N, H, W, 3], RGB, clipped to [0, 1]",
    }
