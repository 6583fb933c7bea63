"""Many images of one size on several devices: each computes some of them, alone."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppcn_jax.models.layers import Params

AXIS = "images"


def apply_batch(
    module: nn.Module, params: Params, images: np.ndarray, devices: Sequence[jax.Device]
) -> np.ndarray:
    """A network's output for a batch of images, computed by several devices.

    Args:
        module: of `ppcn_jax.weights.model.NETWORKS`.
        params: its parameters.
        images: float32 `[N, H, W, 3]` in [0, 1], N >= 1; the best N is a multiple of the devices.
        devices: that share the images.

    Returns:
        float32 `[N, H, W, 3]`, unclipped.
    """
    count = len(images)
    # Batches that are not full run the program of those that are.
    filled = np.pad(images, [(0, -count % len(devices)), (0, 0), (0, 0), (0, 0)], mode="edge")
    mesh = Mesh(np.asarray(devices), (AXIS,))
    batch = jax.device_put(filled, NamedSharding(mesh, PartitionSpec(AXIS)))
    everywhere = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
    return np.asarray(_apply(module, everywhere, batch))[:count]


@functools.partial(jax.jit, static_argnums=0)
def _apply(module: nn.Module, params: Params, images: jax.Array) -> jax.Array:
    outputs: Any = module.apply({"params": params}, images)
    return outputs
