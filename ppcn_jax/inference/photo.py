"""What is done to photos: a network, and what it does not see (gray, alpha)."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from ppcn_jax.inference.enhance import enhance_levels, scale_of, upscale_levels
from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.photos.read import Photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

_BAND = 1024  # rows that are made gray at once, for the memory


@dataclasses.dataclass(frozen=True)
class Treatment:
    """What is done to every photo.

    Attributes:
        apply: levels `[H, W, 3]` of one shape and type to levels `[scale H, scale W, 3]`.
        scale: how many times larger a photo becomes.
        labels: of the two pictures that are compared.
    """

    apply: Callable[[Sequence[np.ndarray]], list[np.ndarray]]
    scale: int
    labels: tuple[str, str]


def make_treatment(use: str, model: Model) -> Treatment:
    """Choose what is done.

    Args:
        use: "enhance" or "upscale".
        model: the network.

    Returns:
        The treatment.

    Raises:
        InputError: a network for something else.
    """
    if use == "enhance":
        model.check_use(ENHANCERS, "enhance")
        return Treatment(functools.partial(enhance_levels, model=model), 1, ("before", "after"))
    model.check_use(SUPER_RESOLVERS, "enlarge")
    apply = functools.partial(upscale_levels, model=model)
    return Treatment(apply, scale_of(model), ("bicubic", model.name.replace("_", " ")))


def treat(photos: Sequence[Photo], treatment: Treatment) -> list[Photo]:
    """The results of photos of one size.

    Where all three channels are equal, they stay so: of the network's colors, luma is taken.
    Alpha is no business of the network; it is enlarged bicubically.

    Args:
        photos: what was read; levels of one shape and type.
        treatment: what to do.

    Returns:
        The photos with new pixels, in order.
    """
    outputs = treatment.apply([photo.levels for photo in photos])
    return [
        _finish(photo, levels, treatment.scale)
        for photo, levels in zip(photos, outputs, strict=True)
    ]


def check_size(photo: Photo) -> None:
    """Refuse a photo that no network can be applied to.

    Args:
        photo: what was read.

    Raises:
        InputError: it is too small.
    """
    height, width = photo.levels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"has {width} x {height} px; the networks need at least {SMALLEST_SIDE} px a side"
        )


def _finish(photo: Photo, levels: np.ndarray, scale: int) -> Photo:
    if _is_neutral(photo.levels):
        levels = _neutral(levels)
    alpha = photo.alpha
    if alpha is not None and scale > 1:
        alpha = _enlarge_alpha(alpha, scale)
    return dataclasses.replace(photo, levels=levels, alpha=alpha)


def _is_neutral(levels: np.ndarray) -> bool:
    red, green, blue = np.moveaxis(levels, -1, 0)
    # Most photos show in their first row that they are not.
    return all(
        np.array_equal(red[rows], green[rows]) and np.array_equal(red[rows], blue[rows])
        for rows in (slice(1), slice(None))
    )


def _neutral(levels: np.ndarray) -> np.ndarray:
    """Luma of ITU-R BT.601, as Pillow has it, in all three channels."""
    gray = np.empty_like(levels)
    for top in range(0, len(levels), _BAND):
        red, green, blue = np.moveaxis(levels[top : top + _BAND].astype(np.uint32), -1, 0)
        luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
        gray[top : top + _BAND] = luma[..., None].astype(levels.dtype)
    return gray


def _enlarge_alpha(alpha: np.ndarray, scale: int) -> np.ndarray:
    if alpha.dtype == np.uint8:
        return enlarge(alpha[..., None], scale)[..., 0]
    size = (scale * alpha.shape[1], scale * alpha.shape[0])
    enlarged = Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(enlarged), 0, 65535)).astype(np.uint16)
