"""The ranges of a network's convolutions in int8, found on photos."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.module import InterceptorContext

from ppcn_jax.models.definitions import Params
from ppcn_jax.models.int8 import Ranges, apply_in_int8
from ppcn_jax.models.layers import Conv, layer_input

# Shares of values beyond each end of a range that are tried, in percent. Normalized maps have
# outliers far from everything else, and where the output saturates, ends can be far inside.
_BEYOND = (0, 0.001, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
# The search runs the network about a hundred times: calibrate on so many squares of this side, px.
_SQUARES, SIDE = 32, 96
# Ends move inward only if the squared error falls by this factor, so that what rare photos need is
# not given away for nothing.
_GAIN = 0.99
# Percentiles are taken of about so many values.
_VALUES = 500_000


def find_ranges(
    module: nn.Module,
    params: Params,
    photos: Sequence[np.ndarray],
    say: Callable[[str], None],
) -> dict[str, Ranges]:
    """Find the ranges of a network's convolutions on photos.

    Starting from the lowest and highest values, the ends of each range, from the last one to the
    first, become the percentiles with which the result of the network in int8 has the smallest
    squared error to that of the network itself.

    Args:
        module: the network.
        params: its parameters.
        photos: its inputs, float32 `[1, H, W, 3]`, all of one size; at least one.
        say: is called with a line that says what is done.

    Returns:
        The ranges by the name of the layer, in the order of the layers; without the first and the
        last convolution.
    """
    images = _squares(photos)
    say("measuring ranges")
    tried = candidates(module, params, images)

    # Not `clipped`, whose convolutions have the form for exports, which processors are slow at.
    @jax.jit
    def run(images: jax.Array, ranges: dict[str, Ranges]) -> jax.Array:
        result = apply_in_int8(module, ranges, {"params": params}, images)
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


def candidates(module: nn.Module, params: Params, images: jax.Array) -> dict[str, Ranges]:
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
            module.apply({"params": params}, images)
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
    """Parts of photos, `[N, h, w, 3]`; smaller than `SIDE` only where the photos are.

    Half of them are evenly spaced over all photos, and half have the steepest edges, which need the
    widest ranges and which few squares have.
    """
    _, height, width, _ = photos[0].shape
    h, w = min(height, SIDE), min(width, SIDE)
    squares = [
        photo[0, top : top + h, left : left + w]
        for photo in photos
        for top in range(0, height - h + 1, h)
        for left in range(0, width - w + 1, w)
    ]
    count = min(len(squares), _SQUARES * SIDE**2 // (h * w))
    steepest = np.argsort(
        [-max(np.abs(np.diff(x, axis=axis)).max() for axis in (0, 1)) for x in squares]
    )
    even = np.linspace(0, len(squares) - 1, -(-count // 2)).astype(int)
    rest = [index for index in steepest if index not in set(even.tolist())]
    return jnp.stack([squares[index] for index in (*even, *rest[: count - len(even)])])


def _name(layer: nn.Module) -> str:
    return "/".join(layer.path)
