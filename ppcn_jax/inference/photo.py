"""Apply a network to photos, including what it does not see: color spaces, grayness and alpha."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ppcn_jax.inference.damage import Damage, find_damage
from ppcn_jax.inference.enhance import enhance_levels, scale_of, upscale_levels
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.models.definitions import SMALLEST_SIDE
from ppcn_jax.ops.luma import FULL_RANGE_WEIGHTS
from ppcn_jax.photos.color_space import carry_change, color_space, convert_to_srgb
from ppcn_jax.photos.levels import to_float
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.resize import enlarge_alpha
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.memory import check_available
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

_BAND = 1024  # rows converted or blended at a time, to save memory


class Operation(NamedTuple):
    """Enhancing or enlarging with a certain network.

    Attributes:
        apply: maps pixels `[H, W, 3]` of equal shapes and types to `[scale H, scale W, 3]`.
        scale: how many times larger each side becomes.
        labels: captions for before and after.
        strength: share of the result in a blend with the photo, 0 to 1; 1 for enlargements.
        runtime: what the network runs in, "jax" or "openvino".
    """

    apply: Callable[[Sequence[np.ndarray]], list[np.ndarray]]
    scale: int
    labels: tuple[str, str]
    strength: float = 1.0
    runtime: str = "jax"


def make_operation(
    use: str, model: Model, strength: float = 1.0, runtime: str = "auto"
) -> Operation:
    """Set up "enhance" or "upscale".

    Raises InputError if the network is not made for it, or the runtime cannot be used; see
    `choose_runtime`.
    """
    runtime = choose_runtime(runtime)
    if use == "enhance":
        model.check_use(ENHANCERS, "enhance")
        apply = functools.partial(enhance_levels, model=model, runtime=runtime)
        return Operation(apply, 1, ("before", "after"), strength, runtime)
    model.check_use(SUPER_RESOLVERS, "enlarge")
    apply = functools.partial(upscale_levels, model=model, runtime=runtime)
    labels = "bicubic", model.name.replace("_", " ")
    return Operation(apply, scale_of(model), labels, runtime=runtime)


def process_photos(photos: Sequence[Photo], operation: Operation) -> list[Photo]:
    """Process photos whose pixels have one shape and type; results are in the same order.

    The network sees sRGB, and its change is carried back to the color space of the photo. A photo
    whose three channels are equal stays neutral: the output is converted to luma. Alpha does not
    pass through the network; it is enlarged bicubically.
    """
    spaces = [color_space(photo.icc) for photo in photos]
    inputs = [
        convert_to_srgb(space, photo.pixels) for space, photo in zip(spaces, photos, strict=True)
    ]
    outputs = operation.apply(inputs)
    results = []
    for photo, space, given, pixels in zip(photos, spaces, inputs, outputs, strict=True):
        if space is not None:
            if _is_neutral(photo.pixels):
                pixels = _to_neutral(pixels)
            pixels = carry_change(space, photo.pixels, given, pixels)
        if operation.strength < 1:
            pixels = _blend(photo.pixels, pixels, operation.strength)
        if _is_neutral(photo.pixels):
            pixels = _to_neutral(pixels)
        alpha = photo.alpha
        if alpha is not None and operation.scale > 1:
            alpha = enlarge_alpha(alpha, operation.scale)
        results.append(dataclasses.replace(photo, pixels=pixels, alpha=alpha))
    return results


def judge(before: Photo, after: Photo, operation: Operation) -> Damage | None:
    """Judge the colors of an enhanced photo by `find_damage`; enlargements are not judged."""
    if operation.scale > 1:
        return None
    space = color_space(before.icc)
    return find_damage(
        before.pixels,
        after.pixels,
        strength=operation.strength,
        alpha=before.alpha,
        to_srgb=to_float if space is None else space.to_srgb,
    )


def check_size(pixels: np.ndarray) -> None:
    """Raise InputError if the pixels `[H, W, 3]` of a photo are too few for the networks."""
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"has {width} x {height} px; the networks need at least {SMALLEST_SIDE} px per side"
        )


def check_memory(photo: Photo, scale: int) -> None:
    """Raise InputError if the result of a photo and its encoder's copy do not fit into memory."""
    check_available(2 * scale**2 * photo.pixels.nbytes)


def _blend(before: np.ndarray, after: np.ndarray, strength: float) -> np.ndarray:
    """Mix two photos, uint8 or uint16, in these values; a strength of 0 gives the first one."""
    blend = np.empty_like(after)
    for top in range(0, len(after), _BAND):
        rows = slice(top, top + _BAND)
        mixed = before[rows] * (1 - np.float64(strength)) + after[rows] * np.float64(strength)
        blend[rows] = np.rint(mixed).astype(after.dtype)
    return blend


def _is_neutral(pixels: np.ndarray) -> bool:
    red, green, blue = np.moveaxis(pixels, -1, 0)
    # The first row is enough for most color photos.
    return all(
        np.array_equal(red[rows], green[rows]) and np.array_equal(red[rows], blue[rows])
        for rows in (slice(1), slice(None))
    )


def _to_neutral(pixels: np.ndarray) -> np.ndarray:
    """Repeat the luma of ITU-R BT.601, rounded as in Pillow, in all three channels."""
    gray = np.empty_like(pixels)
    r, g, b = (round(1000 * weight) for weight in FULL_RANGE_WEIGHTS)  # exact in integers
    for top in range(0, len(pixels), _BAND):
        red, green, blue = np.moveaxis(pixels[top : top + _BAND].astype(np.uint32), -1, 0)
        luma = (r * red + g * green + b * blue + 500) // 1000
        gray[top : top + _BAND] = luma[..., None].astype(pixels.dtype)
    return gray
