"""Networks on images of any size: row bands with the statistics of the whole image.

A network that normalizes by statistics of the whole image cannot be run tile by tile. So the image
is passed over several times, in bands of rows: each pass gathers the next statistics that the
network asks for, with those of the passes before in their place, and the last pass gives the
output. A band is computed with as many more rows above and below as an output row depends on; at
the image's own border the network's padding is what it always is. The result is that of the whole
image, up to the order of float32 sums.
"""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.models.layers import Statistics
from ppcn_jax.models.moments import row_moments
from ppcn_jax.state import Params

# Of the free memory, a quarter is used for a band, and this many bytes at most.
_MOST_BYTES = 256 * 2**20
_PROBE_ROWS = 64

Known = dict[str, tuple[jax.Array, jax.Array]]


def default_band(module: nn.Module, params: Params, width: int) -> int:
    """How many rows of an image can be computed at a time in the memory that is free.

    Args:
        module: of `ppcn_jax.networks.NETWORKS`.
        params: its parameters.
        width: of the image, px.

    Returns:
        Rows, at least 16.
    """
    window = jax.ShapeDtypeStruct((_PROBE_ROWS, width, 3), jnp.float32)
    compiled: Any = _output.lower(module, params, {}, window).compile()
    memory = compiled.memory_analysis()
    # What goes in and comes out also exists on the host, before and after.
    total = memory.temp_size_in_bytes + 2 * (
        memory.argument_size_in_bytes + memory.output_size_in_bytes
    )
    per_row = total / _PROBE_ROWS
    return max(int(_budget() / per_row) - 2 * module.reach, 16)  # type: ignore[attr-defined]


def _budget() -> int:
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return _MOST_BYTES
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(free // 4, _MOST_BYTES)


def stream(
    module: nn.Module, params: Params, image: np.ndarray, *, band: int
) -> Iterator[tuple[int, np.ndarray]]:
    """A network's output for one image, from the top down.

    Args:
        module: of `ppcn_jax.networks.NETWORKS`.
        params: its parameters.
        image: `[H, W, 3]`, uint8, uint16 or float in [0, 1]; for a super-resolver of scale s, H is
            a multiple of s.
        band: rows that are computed at a time.

    Returns:
        An iterator over (first row, float32 `[rows, W, 3]`), unclipped.

    Raises:
        ValueError: a band below 1.
    """
    if band < 1:
        raise ValueError(f"band must be at least 1, got {band}")
    params = jax.device_put(params)
    windows = list(_windows(module, len(image), band))
    known: Known = {}
    for name in _statistics(module, params, image.shape):
        rows = []
        for first, last, top, bottom in windows:
            moments = _gather(module, params, known, _as_float(image[top:bottom]))
            rows.append(np.asarray(moments)[:, first - top : last - top])
        known[name] = _of_all(*np.concatenate(rows, axis=1).astype(np.float64))
    for first, last, top, bottom in windows:
        output = _output(module, params, known, _as_float(image[top:bottom]))
        yield first, np.asarray(output)[first - top : last - top]


def _windows(module: nn.Module, height: int, band: int) -> Iterator[tuple[int, int, int, int]]:
    """Rows (first, last) of each band, and rows (top, bottom) that it is computed from.

    All windows are of one height, so that they share a compiled function; bands are as even as can
    be, so that the last window repeats few rows of the one before.
    """
    band = -(-height // -(-height // band))
    multiple = getattr(module, "scale", 1)  # strided networks are aligned to multiples of it
    reach = -(-module.reach // multiple) * multiple  # type: ignore[attr-defined]
    band = -(-band // multiple) * multiple
    window = min(band + 2 * reach, height)
    for first in range(0, height, band):
        top = min(max(first - reach, 0), height - window)
        yield first, min(first + band, height), top, top + window


def _of_all(means: np.ndarray, variances: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of all rows, `[1, 1, 1, C]`, from those of each, `[H, 1, C]`."""
    moments = means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)
    mean, variance = (jnp.asarray(moment[None, None], jnp.float32) for moment in moments)
    return mean, variance


def _statistics(module: nn.Module, params: Params, shape: tuple[int, ...]) -> list[str]:
    """Names of the statistics that a network asks for, in order."""
    asked: list[tuple[str, tuple]] = []
    with nn.intercept_methods(_supply({}, asked)):
        image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        jax.eval_shape(lambda p, x: module.apply({"params": p}, x), params, image)
    return [name for name, _ in asked]


def _supply(known: Known, asked: list[tuple[str, tuple]]) -> Callable:
    """Interceptor that gives known statistics and notes what the others are asked of."""

    def intercept(call, args, kwargs, context):
        if not isinstance(context.module, Statistics) or context.method_name != "__call__":
            return call(*args, **kwargs)
        name = "/".join(context.module.path)
        if name in known:
            return known[name]
        asked.append((name, args))
        return call(*args, **kwargs)

    return intercept


@functools.partial(jax.jit, static_argnums=0)
def _gather(module: nn.Module, params: Params, known: Known, window: jax.Array) -> jax.Array:
    """Means and variances, `[2, rows, 1, C]`, of the rows of the first unknown statistic's input.

    What comes after that input is not computed: nothing asks for it.
    """
    asked: list[tuple[str, tuple]] = []
    with nn.intercept_methods(_supply(known, asked)):
        module.apply({"params": params}, window[None])
    x, *known_rows = asked[0][1]
    return jnp.concatenate(*known_rows or [row_moments(x)])


@functools.partial(jax.jit, static_argnums=0)
def _output(module: nn.Module, params: Params, known: Known, window: jax.Array) -> jax.Array:
    with nn.intercept_methods(_supply(known, [])):
        return module.apply({"params": params}, window[None])[0]


def _as_float(rows: np.ndarray) -> np.ndarray:
    if rows.dtype in (np.uint8, np.uint16):
        return rows.astype(np.float32) / np.float32(np.iinfo(rows.dtype).max)
    return rows.astype(np.float32)
