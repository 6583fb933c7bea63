"""The statistics of several photos together, for programs that cannot take those of each photo."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext

from ppcn_jax.inference.borders import continue_by_reflection, without_reflection
from ppcn_jax.inference.jax_programs import gather
from ppcn_jax.inference.streaming import moments_of_image
from ppcn_jax.inference.structure import Structure, statistic_names, structure_of_module
from ppcn_jax.inference.windows import windows_of
from ppcn_jax.models.definitions import Params
from ppcn_jax.models.layers import Statistics
from ppcn_jax.ops.moments import Moments
from ppcn_jax.photos.levels import to_float

# Pixels of a band, and the widths that photos are padded to so that they share programs.
_BAND_PIXELS = 2**19
_WIDTHS = 256


def statistics_of(
    module: nn.Module, params: Params, photos: Callable[[], Iterable[np.ndarray]]
) -> dict[str, Moments]:
    """Means of the photos' statistics, in which every photo counts the same.

    A statistic of a deeper layer is taken with the means of those before it in place of the
    photo's own, as the network will run.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        photos: called for every statistic; yields the same photos each time, at least one, each
            `[H, W, 3]`, uint8, uint16 or float in [0, 1].

    Returns:
        By the name of the `Statistics` layer, in their order: float32 `[1, 1, 1, C]` each.
    """
    structure = structure_of_module(module)
    module, border = without_reflection(module)
    known: dict[str, Moments] = {}
    for name in statistic_names(structure):
        moments = [
            _next_moments(module, structure, border, params, known, photo) for photo in photos()
        ]
        known[name] = Moments(
            *(np.mean([np.float64(of) for of in same], axis=0).astype(np.float32)
              for same in zip(*moments, strict=True))
        )  # fmt: skip
    return known


def _next_moments(
    module: nn.Module,
    structure: Structure,
    border: int,
    params: Params,
    known: Mapping[str, Moments],
    photo: np.ndarray,
) -> Moments:
    """The first statistic of a photo that is not known."""
    height, width = (side + 2 * border for side in photo.shape[:2])
    padding = -photo.shape[1] % _WIDTHS
    rows = []
    for window in windows_of(structure, height, max(_BAND_PIXELS // width, 1), even=False):
        continued = to_float(continue_by_reflection(photo, border, window.top, window.bottom))
        padded = np.pad(continued, [(0, 0), (0, padding), (0, 0)])
        moments, _ = gather(module, (), border, params, known, padded, {}, np.int32(width))
        rows.append(np.stack([window.band(moment) for moment in moments]))
    of_rows = np.concatenate(rows, axis=1)[:, border : height - border]
    mean, variance = moments_of_image(*of_rows.astype(np.float64))
    return Moments(jnp.asarray(mean), jnp.asarray(variance))


def supplied(known: Mapping[str, Moments]) -> AbstractContextManager[None]:
    """Run networks with known statistics, by the name of their layers; others are computed."""
    if not known:
        return contextlib.nullcontext()

    def supply(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        name = "/".join(context.module.path)
        if isinstance(context.module, Statistics) and name in known:
            return known[name]
        return call(*args, **kwargs)

    return nn.intercept_methods(supply)
