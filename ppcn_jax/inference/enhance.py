"""Run a network on photos: whole, shared by several devices, or in bands of rows."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.inference.devices import apply_batch, apply_sharded
from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.inference.streaming import can_keep, default_band, stream
from ppcn_jax.models.layers import PADDINGS, SMALLEST_SIDE, Params
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

# Larger photos are shared by several devices, or run in bands of rows: 2 megapixels.
WHOLE_PIXELS = 2**21


@functools.partial(BoundedJit, static_argnums=0)
def apply_network(module: nn.Module, params: Params, image: jax.Array) -> Any:
    """A network's output for one image, compiled once for each network and image size.

    The image is uint8 `[H, W, 3]` or float in [0, 1]; returns float32 `[H, W, 3]`, unclipped.
    """
    if image.dtype == jnp.uint8:
        image = image.astype(jnp.float32) / 255
    output: Any = module.apply({"params": params}, image[None])
    return output[0]


def enhance(
    image: np.ndarray | jax.Array,
    weights: Model | str | os.PathLike = "student",
    *,
    clip: bool = True,
    strength: float = 1.0,
    padding: str | None = None,
) -> np.ndarray:
    """Enhance one photo.

    Args:
        image: float `[H, W, 3]`, RGB in [0, 1], H and W >= 16.
        weights: the result of `load_model`, or anything that `load_model` reads; by default the
            network that comes with the package.
        clip: clip the network's output to [0, 1]; it lies in [-0.08, 1.08].
        strength: share of the network's output in a blend with the photo, 0 to 1.
        padding: what the network sees beyond the edges of the photo: "reflect" or "zeros"; by
            default that with which it was trained, since few networks are of use with the other.

    Returns:
        float32 `[H, W, 3]`.

    Raises:
        TypeError: the image is not floating.
        ValueError: not `[H, W, 3]`, a side below 16 px, a strength outside [0, 1], a padding that
            the network does not have, or weights that cannot be used (`InputError`).
    """
    image = _checked(image)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1, got {strength}")
    model = _loaded(weights, ENHANCERS, "enhance")
    if padding is not None:
        model = _with_padding(model, padding)
    output = _run(model, image, np.float32, _clip if clip else np.asarray)
    if strength == 1:
        return output
    weight = np.float32(strength)
    return (1 - weight) * image + weight * output


def upscale(
    image: np.ndarray | jax.Array,
    weights: Model | str | os.PathLike = "super_resolver",
    *,
    clip: bool = True,
) -> np.ndarray:
    """Enlarge one photo, by the scale of the network (4 for those without one).

    The photo is first rounded to 8 bits and enlarged bicubically by Pillow, as for training.

    Args:
        image: float `[H, W, 3]`, RGB in [0, 1], H and W >= 16.
        weights: the result of `load_model`, or anything that `load_model` reads; by default the
            network that comes with the package.
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
    return _run(model, enlarged, np.float32, _clip if clip else np.asarray)


def enhance_levels(images: Sequence[np.ndarray], model: Model) -> list[np.ndarray]:
    """Enhance photos of one size and type, uint8 or uint16 `[H, W, 3]`, without a float copy.

    Returns the results in order, of the same type and shape.

    Raises:
        InputError: the network is no enhancer.
    """
    model.check_use(ENHANCERS, "enhance")
    return _run_levels(model, images, images[0].dtype)


def upscale_levels(images: Sequence[np.ndarray], model: Model) -> list[np.ndarray]:
    """Enlarge photos of one size and type, uint8 or uint16 `[H, W, 3]`, rounded to 8 bits first.

    Returns the results in order, of the same type, `[scale H, scale W, 3]`.

    Raises:
        InputError: the network is no super-resolver.
    """
    model.check_use(SUPER_RESOLVERS, "enlarge")
    scale = scale_of(model)
    return _run_levels(model, [enlarge(to_uint8(x), scale) for x in images], images[0].dtype)


def useful_batch(shape: tuple[int, ...], scale: int) -> int:
    """How many photos of shape `[H, W, 3]`, enlarged `scale` times, to process in one batch.

    The number of local devices; 1 for large photos, whose rows the devices share.
    """
    return 1 if _is_large(scale * shape[0], scale * shape[1]) else jax.local_device_count()


def scale_of(model: Model) -> int:
    """The factor by which a super-resolver enlarges; 4 for those without a scale."""
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


def _with_padding(model: Model, padding: str) -> Model:
    known = PADDINGS if hasattr(model.module, "padding") else ("zeros",)
    if padding not in known:
        choices = " or ".join(map(repr, known))
        raise ValueError(f"padding of a {model.name} must be {choices}, got {padding!r}")
    if padding == getattr(model.module, "padding", "zeros"):
        return model
    return dataclasses.replace(model, module=model.module.clone(padding=padding))


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
    """A network's output, converted by `finish` to the type of the result.

    Several devices share a large photo; a single device computes it band by band, so that it never
    exists in float32 as a whole.
    """
    if not _is_large(*image.shape[:2]):
        return finish(np.asarray(apply_network(model.module, model.params, to_float(image))))
    if jax.local_device_count() > 1:
        devices = jax.local_devices()
        return finish(apply_sharded(model.module, model.params, to_float(image), devices))
    band = default_band(model.module, model.params, image.shape[1])
    keep = can_keep(model.module, *image.shape[:2])
    output = np.empty(image.shape, dtype)
    for first, rows in stream(model.module, model.params, image, band=band, keep=keep):
        output[first : first + len(rows)] = finish(rows)
    return output


def _clip(rows: np.ndarray) -> np.ndarray:
    return np.clip(rows, 0, 1)


def _is_large(height: int, width: int) -> bool:
    return height * width > WHOLE_PIXELS
