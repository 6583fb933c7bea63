"""The operations of a network, read off its trace (its jaxpr).

The parameters of the operations are not a documented interface of JAX; the tests compare what is
read with the gradients of every network.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.module import InterceptorContext
from jax.extend.core import JaxprEqn, Var

from ppcn_jax.models.definitions import Params
from ppcn_jax.models.layers import Conv, Statistics, layer_input
from ppcn_jax.ops.portable import portable

# Side of the images to trace with, px; divisible by all strides and scales.
SIDE = 48
OUTPUT = ""


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a network computes from an image, in order.

    Statistics of the image are constants here, so that each value depends on its neighborhood only.

    Attributes:
        equations: the operations.
        channels: those of each convolution's result, by the name of the layer, and None for each
            statistic, in the order of execution.
        variables: the results of the convolutions and what the statistics are taken of, by the
            same names, and the network's `OUTPUT`.
    """

    equations: Sequence[JaxprEqn]
    channels: Mapping[str, int | None]
    variables: Mapping[str, Var]


@functools.cache
def trace(module: nn.Module) -> Trace:
    """Trace a network."""
    channels: dict[str, int | None] = {}

    def network(variables: Params, image: jax.Array) -> list[jax.Array]:
        values: list[jax.Array] = []

        def record(
            call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
        ) -> Any:
            layer = context.module
            if isinstance(layer, Statistics):
                values.append(layer_input(args, kwargs))
                channels["/".join(layer.path)] = None
                shape = (1, 1, 1, values[-1].shape[-1])
                return jnp.zeros(shape), jnp.ones(shape)
            output = call(*args, **kwargs)
            if isinstance(layer, Conv):
                values.append(output)
                channels["/".join(layer.path)] = layer.features
            return output

        with nn.intercept_methods(record), portable():
            output: Any = module.apply(variables, image)
        return [*values, output]

    image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), image)
    jaxpr = jax.make_jaxpr(network)(variables, image).jaxpr
    results: Any = jaxpr.outvars
    return Trace(jaxpr.eqns, channels, dict(zip([*channels, OUTPUT], results, strict=True)))
