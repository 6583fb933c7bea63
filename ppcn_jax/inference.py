"""One image through one network."""

import functools
import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.networks import ENHANCERS, Model
from ppcn_jax.state import Params
from ppcn_jax.weights import load_model


@functools.partial(jax.jit, static_argnums=0)
def apply_network(module: nn.Module, params: Params, image: jax.Array) -> jax.Array:
    """A network's output for one image, compiled once for each network and image size.

    Args:
        module: the network.
        params: its parameters.
        image: uint8 `[H, W, 3]`, or float in [0, 1].

    Returns:
        float32 `[H, W, 3]`, unclipped.
    """
    if image.dtype == jnp.uint8:
        image = image.astype(jnp.float32) / 255
    return module.apply({"params": params}, image[None])[0]


def enhance(
    image: np.ndarray | jax.Array, weights: Model | str | os.PathLike, *, clip: bool = True
) -> np.ndarray:
    """Enhance one photo.

    Args:
        image: float `[H, W, 3]`, RGB in [0, 1], H and W >= 16.
        weights: a model of `load_model`, or whatever `load_model` reads.
        clip: clip the result to [0, 1]; the networks reach from -0.08 to 1.08.

    Returns:
        float32 `[H, W, 3]`.

    Raises:
        TypeError: the image is not floating.
        ValueError: not `[H, W, 3]`, a side below 16 px, or weights that cannot be used
            (`InputError`).
    """
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"the image must be floating in [0, 1], got {image.dtype}: divide by 255")
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"the image must be [H, W, 3], H and W at least {SMALLEST_SIDE}, got {image.shape}"
        )
    model = weights if isinstance(weights, Model) else load_model(weights)
    model.check_use(ENHANCERS, "enhance")
    enhanced = np.asarray(apply_network(model.module, model.params, image.astype(np.float32)))
    return np.clip(enhanced, 0, 1) if clip else enhanced
