"""The reach of a network: rows above and below that an output row depends on, read off its trace.

This walks the jaxpr of a network. The parameters of its convolutions are not a documented interface
of JAX; the tests compare the result with the gradients of every network.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.module import InterceptorContext
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from ppcn_jax.models.layers import Conv, Params, Statistics, layer_input
from ppcn_jax.ops.portable import portable

# Side of the images to trace with, px; divisible by all strides and scales.
_SIDE = 48
# Operations that mix rows, or hide what they do in loops and branches.
_REFUSED = ("scan", "while", "cond", "reduce_window", "sort", "cum")


@functools.cache
def reach(
    module: nn.Module, given: frozenset[str] = frozenset(), wanted: frozenset[str] = frozenset()
) -> int:
    """Rows above and below that an output row depends on, apart from statistics of the whole image.

    A network that is strided looks at whole groups of `module.scale` rows; the reach counts from
    the edges of the output row's group. A network that continues images by reflection has the
    reach of the same network with zeros.

    Args:
        module: a network of `weights.model.NETWORKS`.
        given: names of convolutions whose results are inputs too.
        wanted: names of statistics and convolutions; the rows that the statistics are taken of, and
            the results of the convolutions, count in place of the output. None: the output.

    Returns:
        The most rows on any path from the image or a given result to the output.

    Raises:
        ValueError: an operation that this function cannot follow.
    """
    if getattr(module, "padding", "zeros") == "reflect":
        module = module.clone(padding="zeros")
    image = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
    results: dict[str, jax.ShapeDtypeStruct] = {}

    def record(
        call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
    ) -> Any:
        output = call(*args, **kwargs)
        name = "/".join(context.module.path)
        if name in given and isinstance(context.module, Conv):
            results[name] = jax.ShapeDtypeStruct(output.shape, output.dtype)
        return output

    with nn.intercept_methods(record):
        variables = jax.eval_shape(module.init, jax.random.key(0), image)

    def network(variables: Params, image: jax.Array, results: Mapping[str, jax.Array]) -> Any:
        def supply(
            call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
        ) -> Any:
            name = "/".join(context.module.path)
            if isinstance(context.module, Statistics):
                values[name] = layer_input(args, kwargs)
                shape = (1, 1, 1, values[name].shape[-1])
                return jnp.zeros(shape), jnp.ones(shape)
            values[name] = results[name] if name in results else call(*args, **kwargs)
            return values[name]

        values: dict[str, Any] = {}
        with nn.intercept_methods(supply), portable():
            output = module.apply(variables, image)
        return [values[name] for name in wanted] or output

    jaxpr = jax.make_jaxpr(network)(variables, image, results).jaxpr
    return max(_reach_of_outputs(jaxpr, [0] * len(jaxpr.invars)))


def _reach_of_outputs(jaxpr: Jaxpr, inputs: Sequence[int]) -> list[int]:
    """Reach of a jaxpr's outputs, given that of its inputs."""
    reaches = dict(zip(jaxpr.invars, inputs, strict=True))

    def of(variable: Any) -> int:
        return 0 if isinstance(variable, Literal) else reaches.get(variable, 0)

    for equation in jaxpr.eqns:
        before = [of(variable) for variable in equation.invars]
        inner = [value for value in equation.params.values() if isinstance(value, ClosedJaxpr)]
        name = equation.primitive.name
        if name.startswith(_REFUSED) or len(inner) > 1:
            raise ValueError(f"cannot follow the rows of an image through {name}")
        if name == "conv_general_dilated":
            after = [max(before) + _reach_of_convolution(equation)]
        elif inner:
            after = _reach_of_outputs(inner[0].jaxpr, before)
        else:  # row by row, or a rearrangement of channels into rows of the same group
            after = [max(before, default=0)] * len(equation.outvars)
        reaches.update(zip(equation.outvars, after, strict=True))
    return [of(variable) for variable in jaxpr.outvars]


def _reach_of_convolution(equation: JaxprEqn) -> int:
    numbers = equation.params["dimension_numbers"]
    shapes: list[Any] = [variable.aval for variable in equation.invars]
    x, kernel = (array.shape for array in shapes)
    (stride, *_), (dilation, *_) = (
        equation.params["window_strides"],
        equation.params["rhs_dilation"],
    )
    (above, _), *_ = equation.params["padding"]
    below = dilation * (kernel[numbers.rhs_spec[2]] - 1) - above - (stride - 1)
    return max(above, below) * (_SIDE // x[numbers.lhs_spec[2]])
