"""Run a network on photos: whole, shared by several devices, or in bands of rows."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ppcn_jax.inference.runtimes import choose_runtime, make_programs
from ppcn_jax.inference.streaming import can_keep, stream
from ppcn_jax.models.definitions import PADDINGS, SMALLEST_SIDE
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

if TYPE_CHECKING:
    import jax

# Larger photos are shared by several devices, or run in bands of rows: 2 megapixels.
WHOLE_PIXELS = 2**21
# Floats that other programs made may exceed [0, 1] a little, but not like values of 8 bits.
_LEAST, _MOST = -1.0, 2.0


def enhance(
    image: "np.ndarray | jax.Array",
    weights: Model | str | os.PathLike = "student",
    *,
    clip: bool = True,
    strength: float = 1.0,
    padding: str | None = None,
    runtime: str = "auto",
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
        runtime: "jax", "openvino", or "auto": OpenVINO if it is installed and JAX has nothing but
            one processor to run on. Their results differ by rounding, at most about 1e-5.

    Returns:
        float32 `[H, W, 3]`.

    Raises:
        TypeError: the image is not floating, or a path.
        ValueError: not `[H, W, 3]`, a side below 16 px, values that are not finite or outside of
            [-1, 2] (which are no photo in [0, 1]), a strength outside [0, 1], a padding that
            the network does not have, or weights or a runtime that cannot be used (`InputError`).
    """
    image = _checked(image)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1, got {strength}")
    model = _loaded(weights, ENHANCERS, "enhance")
    if padding is not None:
        model = _with_padding(model, padding)
    output = _run(model, image, np.float32, _clip if clip else np.asarray, runtime)
    if strength == 1:
        return output
    weight = np.float32(strength)
    return (1 - weight) * image + weight * output


def upscale(
    image: "np.ndarray | jax.Array",
    weights: Model | str | os.PathLike = "super_resolver",
    *,
    clip: bool = True,
    runtime: str = "auto",
) -> np.ndarray:
    """Enlarge one photo, by the scale of the network (4 for those without one).

    The photo is first rounded to 8 bits and enlarged bicubically by Pillow, as for training.

    Args:
        image: float `[H, W, 3]`, RGB in [0, 1], H and W >= 16.
        weights: the result of `load_model`, or anything that `load_model` reads; by default the
            network that comes with the package.
        clip: clip the result to [0, 1].
        runtime: as for `enhance`.

    Returns:
        float32 `[scale H, scale W, 3]`.

    Raises:
        TypeError: the image is not floating, or a path.
        ValueError: not `[H, W, 3]`, a side below 16 px, values that are not finite or outside of
            [-1, 2] (which are no photo in [0, 1]), or weights or a runtime that cannot be used
            (`InputError`).
    """
    image = _checked(image)
    model = _loaded(weights, SUPER_RESOLVERS, "enlarge")
    enlarged = enlarge(to_uint8(image), scale_of(model))
    return _run(model, enlarged, np.float32, _clip if clip else np.asarray, runtime)


def enhance_levels(
    images: Sequence[np.ndarray], model: Model, runtime: str = "auto"
) -> list[np.ndarray]:
    """Enhance photos of one size and type, uint8 or uint16 `[H, W, 3]`, without a float copy.

    Returns the results in order, of the same type and shape. For `runtime` see `enhance`.

    Raises:
        InputError: the network is no enhancer.
    """
    model.check_use(ENHANCERS, "enhance")
    return _run_levels(model, images, images[0].dtype, runtime)


def upscale_levels(
    images: Sequence[np.ndarray], model: Model, runtime: str = "auto"
) -> list[np.ndarray]:
    """Enlarge photos of one size and type, uint8 or uint16 `[H, W, 3]`, rounded to 8 bits first.

    Returns the results in order, of the same type, `[scale H, scale W, 3]`. For `runtime` see
    `enhance`.

    Raises:
        InputError: the network is no super-resolver.
    """
    model.check_use(SUPER_RESOLVERS, "enlarge")
    scale = scale_of(model)
    enlarged = [enlarge(to_uint8(image), scale) for image in images]
    return _run_levels(model, enlarged, images[0].dtype, runtime)


def apply_model(image: np.ndarray, model: Model, runtime: str = "auto") -> np.ndarray:
    """A network's output for one image, `[H, W, 3]`, uint8, uint16 or float in [0, 1].

    Returns float32 `[H, W, 3]`, unclipped. For `runtime` see `enhance`.
    """
    return _run(model, image, np.float32, np.asarray, runtime)


def useful_batch(shape: tuple[int, ...], scale: int, runtime: str) -> int:
    """How many photos of shape `[H, W, 3]`, enlarged `scale` times, to process in one batch.

    The number of local devices of JAX; 1 for large photos, whose rows the devices share, and for
    OpenVINO. The runtime is "jax" or "openvino".
    """
    if runtime == "openvino" or _is_large(scale * shape[0], scale * shape[1]):
        return 1
    import jax  # imported by what runs in it only, since that takes longer than a small photo

    return jax.local_device_count()


def scale_of(model: Model) -> int:
    """The factor by which a super-resolver enlarges; 4 for those without a scale."""
    return model.settings.get("scale", 4)


def _checked(image: "np.ndarray | jax.Array") -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        raise TypeError(
            f"the image must be an array, got the path {os.fspath(image)!r}: read the file first, "
            "or use the command ppcn-jax, which keeps metadata and colors"
        )
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"the image must be floating in [0, 1], got {image.dtype}: divide by 255")
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"the image must be [H, W, 3], H and W at least {SMALLEST_SIDE}, got {image.shape}"
        )
    image = image.astype(np.float32)
    low, high = float(image.min()), float(image.max())  # NaN if any value is
    if not (_LEAST <= low and high <= _MOST):
        raise ValueError(
            f"the image must be in [0, 1], got values from {low:g} to {high:g}"
            + (": divide by 255 or 65535" if low >= 0 and np.isfinite(high) else "")
        )
    return image


def _loaded(weights: Model | str | os.PathLike, names: tuple[str, ...], use: str) -> Model:
    model = weights if isinstance(weights, Model) else load_model(weights)
    model.check_use(names, use)
    return model


def _with_padding(model: Model, padding: str) -> Model:
    current = model.settings.get("padding")
    known = PADDINGS if current else ("zeros",)
    if padding not in known:
        choices = " or ".join(map(repr, known))
        raise ValueError(f"padding of a {model.name} must be {choices}, got {padding!r}")
    if current is None or padding == current:
        return model
    return dataclasses.replace(model, settings={**model.settings, "padding": padding})


def _run_levels(
    model: Model, images: Sequence[np.ndarray], dtype: np.dtype, runtime: str
) -> list[np.ndarray]:
    finish = functools.partial(from_float, dtype=dtype)
    runtime = choose_runtime(runtime)
    if len(images) == 1 or runtime != "jax" or _is_large(*images[0].shape[:2]):
        return [_run(model, image, dtype, finish, runtime) for image in images]
    import jax

    from ppcn_jax.inference.devices import apply_batch

    batch = np.stack([to_float(image) for image in images])
    outputs = apply_batch(model.module, model.params, batch, jax.local_devices())
    return [finish(output) for output in outputs]


def _run(
    model: Model,
    image: np.ndarray,
    dtype: np.typing.DTypeLike,
    finish: Callable[[np.ndarray], np.ndarray],
    runtime: str,
) -> np.ndarray:
    """A network's output, converted by `finish` to the type of the result.

    Several devices share a large photo; a single device computes it band by band, so that it never
    exists in float32 as a whole.
    """
    runtime = choose_runtime(runtime)
    height, width = image.shape[:2]
    large = _is_large(height, width)
    if large and runtime == "jax":
        import jax

        from ppcn_jax.inference.devices import apply_sharded

        if jax.local_device_count() > 1:
            devices = jax.local_devices()
            return finish(apply_sharded(model.module, model.params, to_float(image), devices))
    programs = make_programs(runtime, model)
    if not large:
        return finish(programs.whole(to_float(image)))
    band = programs.default_band(width)
    keep = can_keep(programs, height, width, band)
    output = np.empty(image.shape, dtype)
    for first, rows in stream(programs, image, band=band, keep=keep):
        output[first : first + len(rows)] = finish(rows)
    return output


def _clip(rows: np.ndarray) -> np.ndarray:
    return np.clip(rows, 0, 1)


def _is_large(height: int, width: int) -> bool:
    return height * width > WHOLE_PIXELS
