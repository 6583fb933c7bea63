"""Networks on images of any size: row bands with the statistics of the whole image.

A network that normalizes by statistics of the whole image cannot be run tile by tile. Instead, the
image is passed over several times, in bands of rows: each pass gathers the next statistic that the
network needs, given those of the passes before, and the last pass computes the output. A band is
computed together with the rows above and below it that its output depends on. The image is continued
beyond its edges as the network continues whole images (`borders.py`), row by row. The result equals
that of the whole image up to the order of float32 sums.

Where memory allows, the results of some convolutions are kept from the first pass that computes
them, and what leads to them is not computed a second time.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext

from ppcn_jax.inference.borders import continue_by_reflection, without_reflection
from ppcn_jax.inference.padding import hide_padding, row_moments_inside
from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.windows import Window, windows_of
from ppcn_jax.models.layers import SMALLEST_SIDE, Conv, Params, Statistics, layer_input
from ppcn_jax.ops.moments import Moments, row_moments
from ppcn_jax.photos.levels import to_float
from ppcn_jax.runtime.memory import available_bytes

# A band takes a quarter of the available memory, and at most this many bytes: a process stays below
# 1.5 GB with its first photo of 12 megapixels.
_MOST_BYTES = 96 * 2**20
# Channels of the results that are kept, at most: 64 bytes per pixel.
_MOST_KEPT_CHANNELS = 16
_PROBE_ROWS = 64

Known = Mapping[str, tuple[jax.Array, jax.Array]]
Results = Mapping[str, np.ndarray]


def default_band(module: nn.Module, params: Params, width: int) -> int:
    """Rows of an image of this width that fit into the available memory at a time.

    At least twice the network's reach, so that at most as many rows are computed around a band as
    it has itself.
    """
    module, border = without_reflection(module)
    window = jax.ShapeDtypeStruct((_PROBE_ROWS, width + 2 * border, 3), jnp.float32)
    memory: Any = _output.lower(module, params, {}, window, {}, None).compile().memory_analysis()
    # Inputs and outputs also exist on the host, before and after.
    total = memory.temp_size_in_bytes + 2 * (
        memory.argument_size_in_bytes + memory.output_size_in_bytes
    )
    budget = min(available_bytes() // 4, _MOST_BYTES)
    around = 2 * reach(module)
    return max(int(budget * _PROBE_ROWS / total) - around, around)


def can_keep(module: nn.Module, height: int, width: int) -> bool:
    """Check that the results that `stream` may keep fit into a quarter of the available memory."""
    module, border = without_reflection(module)
    height, width = height + 2 * border, width + 2 * border
    return 4 * height * width * sum(kept_results(module).values()) <= available_bytes() // 4


def stream(
    module: nn.Module,
    params: Params,
    image: np.ndarray,
    *,
    band: int,
    keep: bool = False,
    padded_width: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """A network's output for one image, from the top down.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        image: `[H, W, 3]`, uint8, uint16 or float in [0, 1]; for a super-resolver of scale s, H is
            a multiple of s.
        band: rows that are computed at a time.
        keep: keep `kept_results` between passes, in host memory, float32 `[H, W, C]` each.
        padded_width: pad rows to this width, at least W and a multiple of s, and do not adapt the
            height of bands to that of the image, so that images of many sizes share programs. The
            result is the same up to rounding.

    Returns:
        An iterator over (first row, float32 `[rows, W, 3]`), unclipped.

    Raises:
        ValueError: a band below 1.
    """
    if band < 1:
        raise ValueError(f"band must be at least 1, got {band}")
    module, border = without_reflection(module)
    kept = tuple(kept_results(module)) if keep else ()
    params = jax.device_put(params)
    # Of the continued image, to which windows, bands and results refer.
    height, width = (side + 2 * border for side in image.shape[:2])
    inner = slice(border, height - border), slice(border, width - border)
    columns = None if padded_width is None else np.int32(width)
    known: dict[str, tuple[jax.Array, jax.Array]] = {}
    results: dict[str, np.ndarray] = {}

    def windows() -> Iterator[Window]:
        return windows_of(module, height, band, results, even=padded_width is None)

    def inputs(window: Window) -> tuple[np.ndarray, Results, np.int32 | None]:
        given = {name: window.cut(result) for name, result in results.items()}
        rows = to_float(continue_by_reflection(image, border, window.top, window.bottom))
        if padded_width is not None:
            rows = np.pad(rows, [(0, 0), (0, padded_width + 2 * border - width), (0, 0)])
        return rows, given, columns

    for statistic, _ in _stages(module):
        moments, new = [], dict[str, np.ndarray]()
        for window in windows():
            rows, computed = _gather(module, kept, border, params, known, *inputs(window))
            moments.append(np.stack([window.band(moment) for moment in rows]))
            for name, result in computed.items():
                values = window.band(result)
                if name not in new:
                    new[name] = np.empty((height, *values.shape[1:]), values.dtype)
                new[name][window.first : window.last] = values
        of_rows = np.concatenate(moments, axis=1)[:, inner[0]]
        known[statistic] = _moments_of_image(*of_rows.astype(np.float64))
        results |= new
    for window in windows():
        rows = window.band(_output(module, params, known, *inputs(window)))
        first, last = max(window.first, border), min(window.last, height - border)
        if first < last:
            rows = rows[first - window.first : last - window.first]
            yield first - border, rows[:, inner[1]]


@functools.cache
def kept_results(module: nn.Module) -> dict[str, int]:
    """Convolutions whose results are worth keeping between passes, and their channels.

    Of the convolutions that a pass is the first to compute, the one with the fewest channels (the
    last of several), as long as all together have at most `_MOST_KEPT_CHANNELS`.
    """
    kept: dict[str, int] = {}
    for _, convolutions in _stages(module):
        if convolutions:
            name = min(reversed(convolutions), key=convolutions.__getitem__)
            if sum(kept.values()) + convolutions[name] <= _MOST_KEPT_CHANNELS:
                kept[name] = convolutions[name]
    return kept


@functools.cache
def _stages(module: nn.Module) -> list[tuple[str, dict[str, int]]]:
    """A network's statistics in order, each with the convolutions since the one before.

    The convolutions are given by name with their numbers of channels; those after the last
    statistic are left to the output.
    """
    stages: list[tuple[str, dict[str, int]]] = []
    since: dict[str, int] = {}

    def record(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        nonlocal since
        name = "/".join(context.module.path)
        if isinstance(context.module, Statistics):
            stages.append((name, since))
            since = {}
        elif isinstance(context.module, Conv):
            since[name] = context.module.features
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(module.init, jax.random.key(0), image)
    return stages


def _moments_of_image(means: np.ndarray, variances: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance, `[1, 1, 1, C]`, from those of each row, `[H, 1, C]`."""
    moments = means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)
    mean, variance = (jnp.asarray(moment[None, None], jnp.float32) for moment in moments)
    return mean, variance


def _supply(
    known: Known,
    given: Mapping[str, jax.Array],
    unknown: list[jax.Array],
    computed: dict[str, jax.Array],
) -> Callable[..., Any]:
    """Interceptor that supplies known statistics and given results.

    It appends the inputs of unknown statistics to `unknown`, and records in `computed` the results
    of convolutions that depend on known statistics only.
    """

    def intercept(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        name = "/".join(context.module.path)
        if isinstance(context.module, Statistics):
            if name in known:
                return known[name]
            unknown.append(layer_input(args, kwargs))
        elif isinstance(context.module, Conv):
            if name in given:
                return given[name][None]
            output = call(*args, **kwargs)
            if not unknown:
                computed[name] = output[0]
            return output
        return call(*args, **kwargs)

    return intercept


@functools.partial(BoundedJit, static_argnums=(0, 1, 2))
def _gather(
    module: nn.Module,
    kept: tuple[str, ...],
    border: int,
    params: Params,
    known: Known,
    window: jax.Array,
    given: Mapping[str, jax.Array],
    columns: jax.Array | None,
) -> tuple[Moments, dict[str, jax.Array]]:
    """Moments of the rows that the first unknown statistic is taken of, `[rows, 1, C]` each.

    They leave out `border` pixels on the left and right. Also the results to keep that are computed
    on the way, `[rows, W, C]` each. The compiler drops everything that comes later in the network.
    """
    unknown: list[jax.Array] = []
    computed: dict[str, jax.Array] = {}
    with nn.intercept_methods(_supply(known, given, unknown, computed)), _hidden(columns, window):
        module.apply({"params": params}, window[None])
    x = unknown[0]
    if columns is None:
        rows = row_moments(x, border)
    else:
        rows = row_moments_inside(x, columns, border)
    return Moments(rows.mean[0], rows.variance[0]), {
        name: computed[name] for name in kept if name in computed
    }


@functools.partial(BoundedJit, static_argnums=0)
def _output(
    module: nn.Module,
    params: Params,
    known: Known,
    window: jax.Array,
    given: Mapping[str, jax.Array],
    columns: jax.Array | None,
) -> Any:
    with nn.intercept_methods(_supply(known, given, [], {})), _hidden(columns, window):
        output: Any = module.apply({"params": params}, window[None])
        return output[0]


def _hidden(columns: jax.Array | None, window: jax.Array) -> AbstractContextManager[None]:
    """Hide the columns of a window from `columns` on; None if it has no padding."""
    if columns is None:
        return contextlib.nullcontext()
    height, width = window.shape[:2]
    return nn.intercept_methods(hide_padding((height, columns), (height, width)))
