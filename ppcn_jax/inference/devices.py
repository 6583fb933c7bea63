"""Networks on several devices: many images of one size, or the rows of one large image.

For one large image, the network is compiled as for one device with the image's height sharded: the
compiler lets neighbors exchange the rows that convolutions need, and turns the statistics into
reductions over all devices. A height that the devices cannot share evenly is padded with rows that
neither a convolution nor a statistic sees.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppcn_jax.inference.borders import continue_by_reflection, without_reflection
from ppcn_jax.inference.padding import hide_padding
from ppcn_jax.models.definitions import Params

_AXIS = "devices"


def apply_batch(
    module: nn.Module, params: Params, images: np.ndarray, devices: Sequence[jax.Device]
) -> np.ndarray:
    """A network's output for a batch of images, each computed by one of the devices.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        images: float32 `[N, H, W, 3]` in [0, 1], N >= 1; the best N is a multiple of the devices.
        devices: that share the images.

    Returns:
        float32 `[N, H, W, 3]`, unclipped.
    """
    # Incomplete batches are padded, so that they run the program of complete ones.
    padding = [(0, -len(images) % len(devices)), (0, 0), (0, 0), (0, 0)]
    everywhere, batch = _shard(params, np.pad(images, padding, mode="edge"), devices)
    return np.asarray(_apply_batch(module, everywhere, batch))[: len(images)]


def apply_sharded(
    module: nn.Module, params: Params, image: np.ndarray, devices: Sequence[jax.Device]
) -> np.ndarray:
    """A network's output for one image whose rows the devices share.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        image: float32 `[H, W, 3]` in [0, 1]; for a super-resolver of scale s, H is a multiple
            of s.
        devices: that share the rows.

    Returns:
        float32 `[H, W, 3]`, unclipped.
    """
    module, border = without_reflection(module)
    continued = continue_by_reflection(image, border)
    height, multiple = len(continued), getattr(module, "scale", 1) * len(devices)
    padding = [(0, -height % multiple), (0, 0), (0, 0)]
    everywhere, rows = _shard(params, np.pad(continued, padding), devices)
    output = np.asarray(_apply_sharded(module, border, height, everywhere, rows))
    return output[border : border + len(image), border : border + image.shape[1]]


def _shard(
    params: Params, images: np.ndarray, devices: Sequence[jax.Device]
) -> tuple[Params, jax.Array]:
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    return (
        jax.device_put(params, NamedSharding(mesh, PartitionSpec())),
        jax.device_put(images, NamedSharding(mesh, PartitionSpec(_AXIS))),
    )


@functools.partial(jax.jit, static_argnums=0)
def _apply_batch(module: nn.Module, params: Params, images: jax.Array) -> Any:
    return module.apply({"params": params}, images)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _apply_sharded(
    module: nn.Module, border: int, height: int, params: Params, image: jax.Array
) -> Any:
    padded, width, _ = image.shape
    with nn.intercept_methods(hide_padding((height, width), (padded, width), border)):
        output: Any = module.apply({"params": params}, image[None])
        return output[0]
