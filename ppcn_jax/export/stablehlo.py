"""StableHLO files: serialized by `jax.export`, for images of any size.

The metadata is stored as JSON in the name of the exported function, the only free-text field of
the serialization.
"""

import contextlib
import dataclasses
import datetime
import json
import pathlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from ppcn_jax.export.contract import clipped, describe
from ppcn_jax.models.definitions import SMALLEST_SIDE
from ppcn_jax.weights.model import Model

PLATFORMS = ("cpu", "cuda", "tpu")
_PROMISE = datetime.timedelta(days=180)  # "6 months", in the documentation of `jax.export`


def to_stablehlo(model: Model) -> bytes:
    """The content of a network's StableHLO file, for `jax.export.deserialize`.

    It is called with float32 images `[N, H, W, 3]`; H and W are multiples of `side_step`.
    """
    step = side_step(model)
    smallest = -(-SMALLEST_SIDE // step)
    shape = export.symbolic_shape(
        f"n, {step}*h, {step}*w, 3", constraints=(f"h >= {smallest}", f"w >= {smallest}")
    )
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    with _without_folders():
        exported = export.export(jax.jit(clipped(model)), platforms=PLATFORMS)(images)
    metadata = describe(model, _runtime(datetime.datetime.now(datetime.UTC).date()))
    if step > 1:
        metadata["input"] += f"; H and W are multiples of {step}"
    return bytes(dataclasses.replace(exported, fun_name=json.dumps(metadata)).serialize())


@contextlib.contextmanager
def _without_folders() -> Iterator[None]:
    """JAX notes the source file of each operation: without the folders of this machine."""
    name = "jax_hlo_source_file_canonicalization_regex"
    before = jax.config.values[name]
    jax.config.update(name, r".*[/\\]")
    try:
        yield
    finally:
        jax.config.update(name, before)


def _runtime(today: datetime.date) -> str:
    """What reads a file that is written today, and until when."""
    return (
        f"written by jax {jax.__version__} on {today}; later versions of jax promise to read it "
        f"until {today + _PROMISE}"
    )


def side_step(model: Model) -> int:
    """The divisor of the image sides in a network's StableHLO file: its scale, or 1.

    For other sides, the padding of strided convolutions would depend on the size.
    """
    return model.settings.get("scale", 1)


def run_stablehlo(path: pathlib.Path) -> Callable[[np.ndarray], np.ndarray]:
    """Open a file in JAX, as a function of float32 images `[N, H, W, 3]`."""
    exported = export.deserialize(bytearray(path.read_bytes()))
    call = jax.jit(exported.call)
    return lambda images: np.asarray(call(images))
