"""The function that every exported file computes, and its metadata."""

import json
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.inference.statistics import supplied
from ppcn_jax.models.definitions import SMALLEST_SIDE
from ppcn_jax.ops.moments import Moments
from ppcn_jax.ops.portable import portable
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

INPUT, OUTPUT = "images", "result"
FORMAT = "ppcn-jax export 1"


def clipped(
    model: Model, statistics: Mapping[str, Moments] | None = None
) -> Callable[[jax.Array], jax.Array]:
    """The function of an exported file in JAX, with the parameters as constants.

    It maps float32 images `[N, H, W, 3]` to the network's output, clipped to [0, 1]. `statistics`
    replace those of the images, by the name of their layers.
    """

    def run(images: jax.Array) -> jax.Array:
        with portable(), supplied(statistics or {}):
            result = model.module.apply({"params": model.params}, images)
        return jnp.clip(jnp.asarray(result), 0, 1)

    return run


def describe(model: Model, runtime: str) -> dict[str, str]:
    """The metadata of an exported file; its keys are the same for every network and format.

    `runtime` says which version of the format the file has, and what reads it.
    """
    uses = []
    if model.name in ENHANCERS:
        uses.append("the photo")
    if model.name in SUPER_RESOLVERS:
        uses.append(
            "an 8-bit photo after bicubic enlargement (Pillow's BICUBIC, 8 bits) by "
            f"{scale_of(model)} a side; the result has the same size"
        )
    return {
        "format": FORMAT,
        "network": model.name,
        "settings": json.dumps(model.settings),
        "preset": model.preset,
        "source": model.origin,
        "license": "the license of the weights, see source; ppcn-jax itself is Apache-2.0",
        "input": f"float32 [N, H, W, 3], RGB in [0, 1], H and W >= {SMALLEST_SIDE}: "
        + ", or ".join(uses),
        "output": "float32 [N, H, W, 3], RGB, clipped to [0, 1]",
        "runtime": runtime,
    }
