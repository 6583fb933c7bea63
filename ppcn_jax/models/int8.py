"""Convolutions in int8, in JAX: what the files of `export --precision int8` compute.

Inputs and outputs get 256 values between the ends of a range, and kernels 255 values for each
output channel. Everything between the convolutions stays float32, as in the files, and so do the
first and the last convolution: they cost little and are the most sensitive ones. The output would
have 256 values before its nonlinearity, and the photo's own 256 do not fall on a grid.

Gradients pass straight through the rounding (Bengio et al., "Estimating or propagating gradients
through stochastic neurons", 2013), and are 0 for inputs and outputs beyond the ends of their range.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.module import InterceptorContext
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax

from ppcn_jax.models.layers import Conv, layer_input


class Ranges(NamedTuple):
    """Ranges of a convolution: lowest and highest value of its input and of its output, `[2]`."""

    input: Any
    output: Any


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


@dataclasses.dataclass(frozen=True)
class _Int8Network:
    """A network in int8; attributes and methods that are not here are those of the network."""

    network: nn.Module
    ranges: tuple[tuple[str, Ranges], ...]

    def apply(self, variables: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        return apply_in_int8(self.network, dict(self.ranges), variables, *args, **kwargs)

    def clone(self, **changed: Any) -> "_Int8Network":
        return dataclasses.replace(self, network=self.network.clone(**changed))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


def in_int8(module: nn.Module, ranges: Mapping[str, Ranges] | None) -> nn.Module:
    """A network whose `apply` computes in int8, with the same parameters and attributes.

    Args:
        module: the network, in float32.
        ranges: by the name of the layer, of numbers, so that the result can be compared and hashed;
            None returns the network itself.
    """
    if ranges is None:
        return module
    fixed = tuple((name, Ranges(*map(_numbers, each))) for name, each in ranges.items())
    return cast(nn.Module, _Int8Network(module, fixed))


def in_float32(module: nn.Module) -> nn.Module:
    """The network that `in_int8` was given; others are returned as they are."""
    return module.network if isinstance(module, _Int8Network) else module


def _numbers(ends: Any) -> tuple[float, ...]:
    return tuple(map(float, ends))


def apply_in_int8(
    module: nn.Module,
    ranges: Mapping[str, Ranges],
    variables: Mapping[str, Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Apply a network as its int8 file computes, up to rounding.

    Args:
        module: the network, in float32.
        ranges: by the name of the layer; layers without ranges stay float32. Their ends may be
            traced.
        variables: as for `module.apply`.
        args: of the call.
        kwargs: of the call.
    """
    grids = {name: tuple(map(grid_of, each)) for name, each in ranges.items()}
    params = flatten_dict(dict(variables["params"]), sep="/")
    for name, (inputs, _) in grids.items():
        kernel, bias = params[f"{name}/kernel"], params[f"{name}/bias"]
        scale = lax.stop_gradient(kernel_scale(kernel))
        steps = (inputs.scale * scale)[0, 0, 0]
        params[f"{name}/kernel"] = scale * _round(kernel / scale)
        params[f"{name}/bias"] = steps * _round(bias / steps)

    def round_ends(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        name = "/".join(context.module.path)
        if not isinstance(context.module, Conv) or name not in grids:
            return call(*args, **kwargs)
        inputs, outputs = grids[name]
        return _rounded(call(_rounded(layer_input(args, kwargs), inputs)), outputs)

    with nn.intercept_methods(round_ends):
        params = unflatten_dict(params, sep="/")
        return module.apply({**variables, "params": params}, *args, **kwargs)


def _rounded(x: jax.Array, grid: Grid) -> jax.Array:
    q = jnp.clip(_round(x / grid.scale) + grid.zero_point, -128, 127)
    return grid.scale * (q - grid.zero_point)


@jax.custom_jvp
def _round(x: jax.Array) -> jax.Array:
    """`jnp.round`, with the gradient of the identity."""
    return jnp.round(x)


_round.defjvps(lambda tangent, result, x: tangent)
