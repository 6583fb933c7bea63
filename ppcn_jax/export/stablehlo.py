"""StableHLO files, `jax.export`'s serialization, for every size of images.

Their metadata stands, as JSON, in the one field of the serialization that is free text: the name
of the exported function.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from ppcn_jax.export.contract import clipped, describe
from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.weights.model import Model

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(model: Model) -> bytes:
    """A network as a StableHLO file.

    Args:
        model: the network.

    Returns:
        The file: what `jax.export.deserialize` reads. It is called with float32 images
        `[N, H, W, 3]`; H and W of a super-resolver with a scale are multiples of it.
    """
    step = side_step(model)
    smallest = -(-SMALLEST_SIDE // step)
    shape = export.symbolic_shape(
        f"n, {step}*h, {step}*w, 3", constraints=(f"h >= {smallest}", f"w >= {smallest}")
    )
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    exported = export.export(jax.jit(clipped(model)), platforms=PLATFORMS)(images)
    metadata = describe(model)
    if step > 1:
        metadata["input"] += f"; H and W are multiples of {step}"
    return bytes(dataclasses.replace(exported, fun_name=json.dumps(metadata)).serialize())


def side_step(model: Model) -> int:
    """What the sides of the images of a network's StableHLO file are multiples of.

    Args:
        model: the network.

    Returns:
        Its scale if it has one, whose strided convolutions have a border that depends on the
        size otherwise; else 1.
    """
    return getattr(model.module, "scale", 1)


def run_stablehlo(path: pathlib.Path) -> Callable[[np.ndarray], np.ndarray]:
    """A StableHLO file in JAX.

    Args:
        path: the file.

    Returns:
        A function of float32 images `[N, H, W, 3]`.
    """
    exported = export.deserialize(bytearray(path.read_bytes()))
    call = jax.jit(exported.call)
    return lambda images: np.asarray(call(images))
