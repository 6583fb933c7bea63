"""The reach of a network: rows above and below that an output row depends on, read off its trace."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from ppcn_jax.inference.trace import OUTPUT, SIDE, trace

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
    traced = trace(module)
    known = {traced.variables[name]: 0 for name in given}
    reaches = _reaches(traced.equations, known)
    return max(_reach_of(traced.variables[name], reaches) for name in wanted or {OUTPUT})


def _reaches(equations: Sequence[JaxprEqn], known: Mapping[Any, int]) -> dict[Any, int]:
    """The reach of each variable; that of inputs which are not known is 0."""
    reaches = dict(known)
    for equation in equations:
        before = [_reach_of(variable, reaches) for variable in equation.invars]
        inner = [value for value in equation.params.values() if isinstance(value, ClosedJaxpr)]
        name = equation.primitive.name
        if name.startswith(_REFUSED) or len(inner) > 1:
            raise ValueError(f"cannot follow the rows of an image through {name}")
        if name == "conv_general_dilated":
            after = [max(before) + _reach_of_convolution(equation)]
        elif inner:
            jaxpr = inner[0].jaxpr
            inside = _reaches(jaxpr.eqns, dict(zip(jaxpr.invars, before, strict=True)))
            after = [_reach_of(variable, inside) for variable in jaxpr.outvars]
        else:  # row by row, or a rearrangement of channels into rows of the same group
            after = [max(before, default=0)] * len(equation.outvars)
        reaches |= {**dict(zip(equation.outvars, after, strict=True)), **known}
    return reaches


def _reach_of(variable: Any, reaches: Mapping[Any, int]) -> int:
    # The image itself, parameters and constants are results of no operation.
    return 0 if isinstance(variable, Literal) else reaches.get(variable, 0)


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
    return max(above, below) * (SIDE // x[numbers.lhs_spec[2]])
