"""The programs of JAX for bands of an image, and for small photos as a whole."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext

from ppcn_jax.inference.borders import without_reflection
from ppcn_jax.inference.padding import hide_padding, row_moments_inside
from ppcn_jax.inference.photo_sizes import apply_to_photo
from ppcn_jax.inference.programs import BoundedJit
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.streaming import Known, Results
from ppcn_jax.inference.structure import Structure, structure_of_module
from ppcn_jax.models.definitions import Params
from ppcn_jax.models.layers import Conv, Statistics, Sum, layer_input
from ppcn_jax.ops.moments import Moments, row_moments
from ppcn_jax.runtime.memory import available_bytes

# A band takes a quarter of the available memory, and at most this many bytes: a process stays below
# 1.5 GB with its first photo of 12 megapixels.
_MOST_BYTES = 96 * 2**20
_PROBE_ROWS = 64


class JaxPrograms:
    """The programs of a network that JAX compiles; see `streaming.Programs`.

    Args:
        module: a network of `weights.model.NETWORKS`.
        params: its parameters.
        padded_width: pad rows to this width, at least that of the image and a multiple of the
            network's scale, and do not adapt the height of bands to that of the image, so that
            images of many sizes share programs. The result is the same up to rounding.
    """

    def __init__(self, module: nn.Module, params: Params, padded_width: int | None = None):
        self._whole = module
        self._module, self.border = without_reflection(module)
        self.even = padded_width is None
        self._params = jax.device_put(params)
        self._padded = None if padded_width is None else padded_width + 2 * self.border

    @property
    def structure(self) -> Structure:
        """The structure of the network."""
        return structure_of_module(self._whole)

    def whole(self, image: np.ndarray) -> np.ndarray:
        """The output for an image; see `apply_to_photo`."""
        return apply_to_photo(self._whole, self._params, image)

    def default_band(self, width: int) -> int:
        """Rows of an image of this width that fit into the available memory at a time.

        At least twice the network's reach, so that at most as many rows are computed around a band
        as it has itself.
        """
        window = jax.ShapeDtypeStruct((_PROBE_ROWS, width + 2 * self.border, 3), jnp.float32)
        lowered = _output.lower(self._module, self._params, {}, window, {}, None)
        memory: Any = lowered.compile().memory_analysis()
        # Inputs and outputs also exist on the host, before and after.
        total = memory.temp_size_in_bytes + 2 * (
            memory.argument_size_in_bytes + memory.output_size_in_bytes
        )
        budget = min(available_bytes() // 4, _MOST_BYTES)
        around = 2 * reach(self.structure)
        return max(int(budget * _PROBE_ROWS / total) - around, around)

    def moments(
        self, known: Known, rows: np.ndarray, given: Results, kept: Mapping[str, np.ndarray]
    ) -> Moments:
        """The moments of rows of the first unknown statistic; fills what is kept on the way."""
        padded, columns = self._padding(rows)
        moments, results = gather(
            self._module, tuple(kept), self.border, self._params, known, padded, given, columns
        )
        for name, place in kept.items():
            place[...] = results[name]
        return moments

    def output(self, known: Known, rows: np.ndarray, given: Results) -> Any:
        """The output inside the border, `[rows, W, 3]`, unclipped, if all statistics are known."""
        padded, columns = self._padding(rows)
        output = _output(self._module, self._params, known, padded, given, columns)
        return np.asarray(output)[:, self.border : rows.shape[1] - self.border]

    def _padding(self, rows: np.ndarray) -> tuple[np.ndarray, np.int32 | None]:
        if self._padded is None:
            return rows, None
        width = rows.shape[1]
        padded = np.pad(rows, [(0, 0), (0, self._padded - width), (0, 0)])
        return padded, np.int32(width)


def _supply(
    known: Known,
    given: Mapping[str, Any],
    unknown: list[jax.Array],
    computed: dict[str, jax.Array],
) -> Callable[..., Any]:
    """Interceptor that supplies known statistics and given results.

    It appends the inputs of unknown statistics to `unknown`, and records in `computed` the results
    of convolutions and sums that depend on known statistics only.
    """

    def intercept(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        name = "/".join(context.module.path)
        if isinstance(context.module, Statistics):
            if name in known:
                return known[name]
            unknown.append(layer_input(args, kwargs))
        elif isinstance(context.module, Conv | Sum):
            if name in given:
                return given[name][None]
            output = call(*args, **kwargs)
            if not unknown:
                computed[name] = output[0]
            return output
        return call(*args, **kwargs)

    return intercept


@functools.partial(BoundedJit, static_argnums=(0, 1, 2))
def gather(
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
    return Moments(rows.mean[0], rows.variance[0]), {name: computed[name] for name in kept}


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
