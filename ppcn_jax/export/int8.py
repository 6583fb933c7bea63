"""Convolutions in int8, in JAX, and the ranges of their inputs and outputs.

Inputs and outputs get 256 values between the ends of a range, and kernels 255 values for each
output channel. Everything between the convolutions stays float32, as in the files, and so do the
first and the last convolution: they cost little and are the most sensitive ones. The output would
have 256 values before its nonlinearity, and the photo's own 256 do not fall on a grid.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext

from ppcn_jax.models.layers import Conv, layer_input
from ppcn_jax.ops.convolution import convolve
from ppcn_jax.weights.model import Model

# Shares of values beyond each end of a range that are tried, in percent. Normalized maps have
# outliers far from everything else, and where the output saturates, ends can be far inside.
_BEYOND = (0, 0.001, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
# The search runs the network about a hundred times: calibrate on so many squares of this side, px.
_SQUARES, _SIDE = 32, 96
# Ends move inward only if the squared error falls by this factor, so that what rare photos need is
# not given away for nothing.
_GAIN = 0.99
# Percentiles are taken of about so many values.
_VALUES = 500_000


class Ranges(NamedTuple):
    """Ranges of a convolution: lowest and highest value of its input and of its output, `[2]`."""

    input: np.ndarray
    output: np.ndarray


class Grid(NamedTuple):
    """Values that int8 stands for: `scale * (q - zero_point)`, q from -128 to 127."""

    scale: Any
    zero_point: Any


def grid_of(ends: Any) -> Grid:
    """The grid of a range, extended to contain 0, which zero padding needs to be exact."""
    low, high = jnp.minimum(ends[0], 0), jnp.maximum(ends[1], 0)
    scale = jnp.maximum((high - low) / 255, 1e-12)
    return Grid(scale, jnp.round(-128 - low / scale))


def kernel_scale(kernel: jax.Array) -> jax.Array:
    """Scales of a kernel `[kh, kw, C, F]`, `[1, 1, 1, F]`; its zero points are 0."""
    largest = jnp.max(jnp.abs(kernel), axis=(0, 1, 2), keepdims=True) / 127
    return jnp.where(largest > 0, largest, 1)


def int8_convolutions(ranges: Mapping[str, Ranges]) -> AbstractContextManager[None]:
    """Run networks as their int8 files compute, up to rounding; layers without ranges stay float32.

    The ranges are by the name of the layer, as in `find_ranges`; their ends may be traced.
    """

    def replace(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        layer = context.module
        if not isinstance(layer, Conv) or _name(layer) not in ranges:
            return call(*args, **kwargs)
        inputs, outputs = map(grid_of, ranges[_name(layer)])
        kernel, bias = (layer.variables["params"][name] for name in ("kernel", "bias"))
        scale = kernel_scale(kernel)
        y = convolve(
            _rounded(layer_input(args, kwargs), inputs),
            scale * jnp.round(kernel / scale),
            stride=layer.stride,
            dilation=layer.dilation,
        )
        if not layer.before_norm:
            steps = inputs.scale * scale
            y = y + steps * jnp.round(bias[None, None, None] / steps)
        return _rounded(y, outputs)

    return nn.intercept_methods(replace)


def find_ranges(
    model: Model, photos: Sequence[np.ndarray], say: Callable[[str], None]
) -> dict[str, Ranges]:
    """Find the ranges of a network's convolutions on photos.

    Starting from the lowest and highest values, the ends of each range, from the last one to the
    first, become the percentiles with which the result of the network in int8 has the smallest
    squared error to that of the network itself.

    Args:
        model: the network.
        photos: its inputs, float32 `[1, H, W, 3]`, all of one size; at least one.
        say: is called with a line that says what is done.

    Returns:
        The ranges by the name of the layer, in the order of the layers; without the first and the
        last convolution.
    """
    images = _squares(photos)
    say("measuring ranges")
    tried = candidates(model, images)

    # Not `clipped`, whose convolutions have the form for exports, which processors are slow at.
    @jax.jit
    def run(images: jax.Array, ranges: dict[str, Ranges]) -> jax.Array:
        with int8_convolutions(ranges):
            result: Any = model.module.apply({"params": model.params}, images)
        return jnp.clip(result, 0, 1)

    expected = run(images, {})

    def error(ranges: dict[str, Ranges]) -> float:
        return float(jnp.mean(jnp.square(run(images, ranges) - expected)))

    ranges = {name: Ranges(*(ends[0] for ends in each)) for name, each in tried.items()}
    least = error(ranges)
    for number, name in enumerate(reversed(ranges), start=1):
        say(f"choosing ranges of layer {number} of {len(ranges)}")
        for side in reversed(Ranges._fields):
            for ends in getattr(tried[name], side)[1:]:
                trial = {**ranges, name: ranges[name]._replace(**{side: ends})}
                if (found := error(trial)) < _GAIN * least:
                    ranges, least = trial, found
                elif found > 1.2 * least:  # the ends are too far inside already
                    break
    return ranges


def candidates(model: Model, images: jax.Array) -> dict[str, Ranges]:
    """By layer, arrays of ends `[tries, 2]` for input and output; the first contain all values.

    All convolutions but the first and the last, in their order.
    """

    @jax.jit
    def run(images: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        found = {}

        def observe(
            call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
        ) -> Any:
            y = call(*args, **kwargs)
            if isinstance(context.module, Conv):
                names.append(_name(context.module))
                found[names[-1]] = layer_input(args, kwargs), y
            return y

        with nn.intercept_methods(observe):
            model.module.apply({"params": model.params}, images)
        return found

    names: list[str] = []  # JAX sorts the keys of dictionaries
    maps = run(images)
    return {name: Ranges(*map(_percentiles, maps[name])) for name in names[1:-1]}


def _percentiles(values: jax.Array) -> np.ndarray:
    some = np.ravel(values)
    ends = np.array([some.min(), some.max()])
    some = some[:: -(-some.size // _VALUES)]
    percents = [[share, 100 - share] for share in _BEYOND[1:]]
    return np.concatenate([ends[None], np.percentile(some, percents)]).astype(np.float32)


def _squares(photos: Sequence[np.ndarray]) -> jax.Array:
    """Parts of photos, `[N, h, w, 3]`; smaller than `_SIDE` only where the photos are.

    Half of them are evenly spaced over all photos, and half have the steepest edges, which need the
    widest ranges and which few squares have.
    """
    _, height, width, _ = photos[0].shape
    h, w = min(height, _SIDE), min(width, _SIDE)
    squares = [
        photo[0, top : top + h, left : left + w]
        for photo in photos
        for top in range(0, height - h + 1, h)
        for left in range(0, width - w + 1, w)
    ]
    count = min(len(squares), _SQUARES * _SIDE**2 // (h * w))
    steepest = np.argsort(
        [-max(np.abs(np.diff(x, axis=axis)).max() for axis in (0, 1)) for x in squares]
    )
    even = np.linspace(0, len(squares) - 1, -(-count // 2)).astype(int)
    rest = [index for index in steepest if index not in set(even.tolist())]
    return jnp.stack([squares[index] for index in (*even, *rest[: count - len(even)])])


def _rounded(x: jax.Array, grid: Grid) -> jax.Array:
    q = jnp.clip(jnp.round(x / grid.scale) + grid.zero_point, -128, 127)
    return grid.scale * (q - grid.zero_point)


def _name(layer: nn.Module) -> str:
    return "/".join(layer.path)
