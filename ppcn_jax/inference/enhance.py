"""Images through one network."""

import functools
import os
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.inference.batch_sharding import apply_batch
from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.inference.row_sharding import apply_sharded
from ppcn_jax.inference.streaming import can_keep, default_band, stream
from ppcn_jax.models.layers import SMALLEST_SIDE, Params
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

# Larger photos are shared by several devices, or run in bands of rows: 2 megapixels.
WHOLE_PIXELS = 2**21


@functools.partial(BoundedJit, static_argnums=0)
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
    image: np.ndarray | jax.Array,
    weights: Model | str | os.PathLike = "student",
    *,
    clip: bool = True,
) -> np.ndarray:
    """Enhance one photo.

    Args:
        image: float `[H, W, 3]`, RGB in [0, 1], H and W >= 16.
        weights: a model of `load_model`, or whatever `load_model` reads; by default the network
            that comes with the package.
        clip: clip the result to [0, 1]; the networks reach from -0.08 to 1.08.

    Returns:
        float32 `[H, W, 3]`.

    Raises:
        TypeError: the image is not floating.
        ValueError: not `[H, W, 3]`, a side below 16 px, or weights that cannot be used
            (`InputError`).
    """
    image = _checked(image)
    model = _loaded(weights, ENHANCERS, "enhance")
    return _run(model, image, np.float32, _clipped if clip else _unchanged)


def upscale(
    image: np.ndarray | jax.Array,
    weights: Model | str | os.PathLike = "super_resolver",
    *,
    clip: bool = True,
) -> np.ndarray:
    """Enlarge one photo, by the scale of the network (4 for those without one).

    The photo is rounded to 8 bits and enlarged bicubically by Pillow first: that is what the
    network was trained on.

    Args:
        image: float `[H, W, 3]`, RGB in [0, 1], H and W >= 16.
        weights: a model of `load_model`, or whatever `load_model` reads; by default the network
            that comes with the package.
        clip: clip the result to [0, 1].

    Returns:
        float32 `[scale H, scale W, 3]`.

    Raises:
        TypeError: the image is not floating.
        ValueError: not `[H, W, 3]`, a side below 16 px, or weights that cannot be used
            (`InputError`).
    """
    image = _checked(image)
    model = _loaded(weights, SUPER_RESOLVERS, "enlarge")
    enlarged = enlarge(to_uint8(image), scale_of(model))
    return _run(model, enlarged, np.float32, _clipped if clip else _unchanged)


def enhance_levels(images: Sequence[np.ndarray], model: Model) -> list[np.ndarray]:
    """Enhance photos of one size in the integers of their files.

    Args:
        images: uint8 or uint16 `[H, W, 3]` each, RGB, H and W >= 16, all of one shape and type.
        model: the network.

    Returns:
        The results in order, of the same type and shape.

    Raises:
        InputError: a network for something else.
    """
    model.check_use(ENHANCERS, "enhance")
    return _run_levels(model, images, images[0].dtype)


def upscale_levels(images: Sequence[np.ndarray], model: Model) -> list[np.ndarray]:
    """Enlarge photos of one size in the integers of their files.

    Args:
        images: uint8 or uint16 `[H, W, 3]` each, RGB, H and W >= 16, all of one shape and type;
            rounded to 8 bits first.
        model: the network.

    Returns:
        The results in order, of the same type, `[scale H, scale W, 3]`.

    Raises:
        InputError: a network for something else.
    """
    model.check_use(SUPER_RESOLVERS, "enlarge")
    scale = scale_of(model)
    return _run_levels(model, [enlarge(to_uint8(x), scale) for x in images], images[0].dtype)


def useful_batch(shape: tuple[int, ...], scale: int) -> int:
    """How many photos of one size are worth waiting for, to be treated together.

    Args:
        shape: `[H, W, 3]` of a photo.
        scale: how many times larger it becomes.

    Returns:
        The number of local devices; 1 for large photos, which the devices share one by one.
    """
    return 1 if _is_large(scale * shape[0], scale * shape[1]) else jax.local_device_count()


def scale_of(model: Model) -> int:
    """How many times larger a super-resolver makes an image; those without a scale make 4."""
    return getattr(model.module, "scale", 4)


def _checked(image: np.ndarray | jax.Array) -> np.ndarray:
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"the image must be floating in [0, 1], got {image.dtype}: divide by 255")
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"the image must be [H, W, 3], H and W at least {SMALLEST_SIDE}, got {image.shape}"
        )
    return image.astype(np.float32)


def _loaded(weights: Model | str | os.PathLike, names: tuple[str, ...], use: str) -> Model:
    model = weights if isinstance(weights, Model) else load_model(weights)
    model.check_use(names, use)
    return model


def _run_levels(model: Model, images: Sequence[np.ndarray], dtype: np.dtype) -> list[np.ndarray]:
    finish = functools.partial(from_float, dtype=dtype)
    if len(images) == 1 or _is_large(*images[0].shape[:2]):
        return [_run(model, image, dtype, finish) for image in images]
    batch = np.stack([to_float(image) for image in images])
    outputs = apply_batch(model.module, model.params, batch, jax.local_devices())
    return [finish(output) for output in outputs]


def _run(
    model: Model,
    image: np.ndarray,
    dtype: np.typing.DTypeLike,
    finish: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """A network's output, finished.

    The devices share a large photo if there are several; one takes it band by band, so that it
    never exists in float32 as a whole.
    """
    if not _is_large(*image.shape[:2]):
        return finish(np.asarray(apply_network(model.module, model.params, to_float(image))))
    if jax.local_device_count() > 1:
        devices = jax.local_devices()
        return finish(apply_sharded(model.module, model.params, to_float(image), devices))
    network = model.module, model.params
    band, keep = default_band(*network, image.shape[1]), can_keep(*network, *image.shape[:2])
    output = np.empty(image.shape, dtype)
    for first, rows in stream(*network, image, band=band, keep=keep):
        output[first : first + len(rows)] = finish(rows)
    return output


def _is_large(height: int, width: int) -> bool:
    return height * width > WHOLE_PIXELS


def _unchanged(rows: np.ndarray) -> np.ndarray:
    return rows


def _clipped(rows: np.ndarray) -> np.ndarray:
    return np.clip(rows, 0, 1)
