"""One large image on several devices: each holds some of its rows.

The network is compiled as for one device, with the image's height sharded: the compiler lets
neighbors exchange the rows that convolutions need, and turns the statistics into reductions over
all devices. A height that the devices cannot share evenly is filled up with rows that neither a
convolution nor a statistic sees.
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppcn_jax.models.layers import Conv, Params, Statistics

AXIS = "rows"


def apply_sharded(
    module: nn.Module, params: Params, image: np.ndarray, devices: Sequence[jax.Device]
) -> np.ndarray:
    """A network's output for one image, computed by several devices.

    Args:
        module: of `ppcn_jax.weights.model.NETWORKS`.
        params: its parameters.
        image: float32 `[H, W, 3]` in [0, 1]; for a super-resolver of scale s, H is a multiple
            of s.
        devices: that share the rows.

    Returns:
        float32 `[H, W, 3]`, unclipped.
    """
    height, multiple = len(image), getattr(module, "scale", 1) * len(devices)
    filled = np.pad(image, [(0, -height % multiple), (0, 0), (0, 0)])
    mesh = Mesh(np.asarray(devices), (AXIS,))
    rows = jax.device_put(filled, NamedSharding(mesh, PartitionSpec(AXIS)))
    everywhere = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
    return np.asarray(_apply(module, height, everywhere, rows))[:height]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _apply(module: nn.Module, height: int, params: Params, image: jax.Array) -> jax.Array:
    with nn.intercept_methods(_blind_to_filling(height, len(image))):
        return module.apply({"params": params}, image[None])[0]


def _blind_to_filling(height: int, filled: int) -> Callable:
    """Interceptor that hides the rows beyond the image's height from what looks across rows."""

    def intercept(call, args, kwargs, context):
        kind = type(context.module)
        if height == filled or kind not in (Conv, Statistics) or context.method_name != "__call__":
            return call(*args, **kwargs)
        x = args[0]
        # Strided convolutions have left fewer rows of both.
        real = height * x.shape[1] // filled
        inside = (jnp.arange(x.shape[1]) < real)[None, :, None, None]
        if kind is Conv:
            return call(*(jnp.where(inside, part, 0) for part in args), **kwargs)
        return _statistics(x.astype(jnp.float32), inside, real)

    return intercept


def _statistics(x: jax.Array, inside: jax.Array, real: int) -> tuple[jax.Array, jax.Array]:
    def mean(values: jax.Array) -> jax.Array:
        over_columns = jnp.where(inside, values, 0).mean(axis=2, keepdims=True)
        return over_columns.sum(axis=1, keepdims=True) / real

    average = mean(x)
    return average, mean(jnp.square(x - average))
