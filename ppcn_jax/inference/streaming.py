"""Networks on images of any size: row bands with the statistics of the whole image.

A network that normalizes by statistics of the whole image cannot be run tile by tile. So the image
is passed over several times, in bands of rows: each pass gathers the next statistics that the
network asks for, with those of the passes before in their place, and the last pass gives the
output. A band is computed with as many more rows above and below as an output row depends on; at
the image's own border the network's padding is what it always is. The result is that of the whole
image, up to the order of float32 sums.

Where there is memory for it, the results of some convolutions (a network's `kept`) are kept from
the first pass that has all they depend on, and what leads to them is not computed again.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from psutil import virtual_memory

from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.models.layers import SMALLEST_SIDE, Conv, Params, Statistics
from ppcn_jax.ops.moments import Moments, row_moments

# Of the available memory, a quarter is used for a band, and this many bytes at most: a process
# stays below 1.5 GB with its first photo of 12 megapixels.
_MOST_BYTES = 96 * 2**20
_PROBE_ROWS = 64

Known = Mapping[str, tuple[jax.Array, jax.Array]]
Results = Mapping[str, np.ndarray | jax.Array]


class Window(NamedTuple):
    """Rows of an image.

    Attributes:
        first: of the band.
        last: of the band, which it does not contain.
        top: of what it is computed from.
        bottom: of what it is computed from, without.
    """

    first: int
    last: int
    top: int
    bottom: int

    def cut(self, rows: np.ndarray) -> np.ndarray:
        """What the band is computed from."""
        return rows[self.top : self.bottom]

    def band(self, rows: jax.Array) -> np.ndarray:
        """The band itself, from as many rows as it is computed from."""
        return np.asarray(rows)[self.first - self.top : self.last - self.top]


def default_band(module: nn.Module, params: Params, width: int) -> int:
    """How many rows of an image can be computed at a time in the memory that is available.

    Args:
        module: of `ppcn_jax.weights.model.NETWORKS`.
        params: its parameters.
        width: of the image, px.

    Returns:
        Rows; at least twice the network's reach, so that a band is computed with as many more rows
        as it has, at most.
    """
    window = jax.ShapeDtypeStruct((_PROBE_ROWS, width, 3), jnp.float32)
    memory = _output.lower(module, params, {}, window, {}).compile().memory_analysis()
    # What goes in and comes out also exists on the host, before and after.
    total = memory.temp_size_in_bytes + 2 * (
        memory.argument_size_in_bytes + memory.output_size_in_bytes
    )
    per_row = total / _PROBE_ROWS
    around: int = 2 * module.reach  # type: ignore[attr-defined]
    return max(int(_budget() / per_row) - around, around)


def can_keep(module: nn.Module, params: Params, height: int, width: int) -> bool:
    """Whether there is memory for what `stream` may keep of an image.

    Args:
        module: of `ppcn_jax.weights.model.NETWORKS`.
        params: its parameters.
        height: of the image, px.
        width: of the image, px.

    Returns:
        Whether it takes a quarter of the available memory, at most.
    """
    channels = sum(params[name]["kernel"].shape[-1] for name in _kept(module))
    return 4 * height * width * channels <= virtual_memory().available // 4


def _budget() -> int:
    return min(virtual_memory().available // 4, _MOST_BYTES)


def stream(
    module: nn.Module, params: Params, image: np.ndarray, *, band: int, keep: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """A network's output for one image, from the top down.

    Args:
        module: of `ppcn_jax.weights.model.NETWORKS`.
        params: its parameters.
        image: `[H, W, 3]`, uint8, uint16 or float in [0, 1]; for a super-resolver of scale s, H is
            a multiple of s.
        band: rows that are computed at a time.
        keep: results of convolutions between passes, in host memory: those that the network has in
            `kept`, float32 `[H, W, C]` each.

    Returns:
        An iterator over (first row, float32 `[rows, W, 3]`), unclipped.

    Raises:
        ValueError: a band below 1.
    """
    if band < 1:
        raise ValueError(f"band must be at least 1, got {band}")
    passes = _Passes(module, params, image, band, tuple(_kept(module)) if keep else ())
    for name in _statistics(module, params, image.shape):
        passes.gather(name)
    yield from passes.output()


class _Passes:
    """Passes over an image, each with what those before it have found.

    Args:
        module: as of `stream`.
        params: as of `stream`.
        image: as of `stream`.
        band: as of `stream`.
        kept: names of convolutions.
    """

    def __init__(
        self, module: nn.Module, params: Params, image: np.ndarray, band: int, kept: tuple[str, ...]
    ):
        self._module, self._params = module, jax.device_put(params)
        self._image, self._band, self._kept = image, band, kept
        self._known: dict[str, tuple[jax.Array, jax.Array]] = {}
        self._results: dict[str, np.ndarray] = {}

    def gather(self, statistic: str) -> None:
        """The pass for one statistic; keeps the results that it is the first to compute."""
        new: dict[str, np.ndarray] = {}
        rows = [self._gather_band(window, new) for window in self._windows()]
        self._known[statistic] = _of_all(*np.concatenate(rows, axis=1).astype(np.float64))
        self._results |= new

    def output(self) -> Iterator[tuple[int, np.ndarray]]:
        """The last pass."""
        for window in self._windows():
            output = _output(self._module, self._params, self._known, *self._inputs(window))
            yield window.first, window.band(output)

    def _gather_band(self, window: Window, new: dict[str, np.ndarray]) -> np.ndarray:
        moments, results = _gather(
            self._module, self._kept, self._params, self._known, *self._inputs(window)
        )
        for name, result in results.items():
            values = window.band(result)
            if name not in new:
                new[name] = np.empty((len(self._image), *values.shape[1:]), values.dtype)
            new[name][window.first : window.last] = values
        return np.stack([window.band(moment) for moment in moments])

    def _inputs(self, window: Window) -> tuple[np.ndarray, Results]:
        results = {name: window.cut(result) for name, result in self._results.items()}
        return _as_float(window.cut(self._image)), results

    def _windows(self) -> Iterator[Window]:
        return _windows(self._module, len(self._image), self._band, self._results)


def _kept(module: nn.Module) -> Mapping[str, int]:
    return getattr(module, "kept", {})


def _windows(
    module: nn.Module, height: int, band: int, given: Iterable[str] = ()
) -> Iterator[Window]:
    """Bands, and what they are computed from if these convolutions' results are given.

    All windows are of one height, so that they share a compiled function; bands are as even as can
    be, so that the last window repeats few rows of the one before.
    """
    band = -(-height // -(-height // band))
    multiple = getattr(module, "scale", 1)  # strided networks are aligned to multiples of it
    whole: int = module.reach  # type: ignore[attr-defined]
    reach = min([whole, *(_kept(module)[name] for name in given)])
    reach = -(-reach // multiple) * multiple
    band = -(-band // multiple) * multiple
    window = min(max(band + 2 * reach, SMALLEST_SIDE), height)
    for first in range(0, height, band):
        top = min(max(first - reach, 0), height - window)
        yield Window(first, min(first + band, height), top, top + window)


def _of_all(means: np.ndarray, variances: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of all rows, `[1, 1, 1, C]`, from those of each, `[H, 1, C]`."""
    moments = means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)
    mean, variance = (jnp.asarray(moment[None, None], jnp.float32) for moment in moments)
    return mean, variance


def _statistics(module: nn.Module, params: Params, shape: tuple[int, ...]) -> list[str]:
    """Names of the statistics that a network asks for, in order."""
    asked: list[tuple[str, tuple]] = []
    with nn.intercept_methods(_supply({}, {}, asked, {})):
        image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        jax.eval_shape(lambda p, x: module.apply({"params": p}, x), params, image)
    return [name for name, _ in asked]


def _supply(
    known: Known, given: Results, asked: list[tuple[str, tuple]], computed: dict[str, jax.Array]
) -> Callable:
    """Interceptor that gives known statistics and results, and notes what is asked of others.

    Of the other convolutions it notes the results that depend on known statistics alone.
    """

    def intercept(call, args, kwargs, context):
        module, name = context.module, "/".join(context.module.path)
        if context.method_name != "__call__" or type(module) not in (Conv, Statistics):
            return call(*args, **kwargs)
        if isinstance(module, Statistics):
            if name in known:
                return known[name]
            asked.append((name, args))
            return call(*args, **kwargs)
        if name in given:
            result = given[name][None]
            return (result, None) if module.before_norm else result
        output = call(*args, **kwargs)
        if not asked:
            computed[name] = (output[0] if module.before_norm else output)[0]
        return output

    return intercept


@functools.partial(BoundedJit, static_argnums=(0, 1))
def _gather(
    module: nn.Module,
    kept: tuple[str, ...],
    params: Params,
    known: Known,
    window: jax.Array,
    given: Results,
) -> tuple[Moments, dict[str, jax.Array]]:
    """Moments of the rows of the first unknown statistic's input, `[rows, 1, C]` each.

    What comes after that input is not computed: nothing asks for it. Also the results that are to
    be kept and are computed on the way, `[rows, W, C]` each.
    """
    asked: list[tuple[str, tuple]] = []
    computed: dict[str, jax.Array] = {}
    with nn.intercept_methods(_supply(known, given, asked, computed)):
        module.apply({"params": params}, window[None])
    x, *known_rows = asked[0][1]
    rows, *_ = known_rows or [row_moments(x)]
    return Moments(rows.mean[0], rows.variance[0]), {
        name: computed[name] for name in kept if name in computed
    }


@functools.partial(BoundedJit, static_argnums=0)
def _output(
    module: nn.Module, params: Params, known: Known, window: jax.Array, given: Results
) -> jax.Array:
    with nn.intercept_methods(_supply(known, given, [], {})):
        return module.apply({"params": params}, window[None])[0]


def _as_float(rows: np.ndarray) -> np.ndarray:
    if rows.dtype in (np.uint8, np.uint16):
        return rows.astype(np.float32) / np.float32(np.iinfo(rows.dtype).max)
    return rows.astype(np.float32)
