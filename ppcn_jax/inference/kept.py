"""The passes over a large image, and which results are kept from one to the next.

As in `reach.py`, the jaxpr of a network says what depends on what.
"""

import functools
from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.module import InterceptorContext
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from ppcn_jax.models.layers import SMALLEST_SIDE, Conv, Statistics, layer_input
from ppcn_jax.ops.portable import portable

# Channels of the results that are kept, at most: 64 bytes per pixel.
_MOST_CHANNELS = 16
# For networks with more passes, which none of ours has, nothing is kept: finding out takes long.
_MOST_PASSES = 16
_RESULT = ""
_IMAGE = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), jnp.float32)


@functools.cache
def stages(module: nn.Module) -> list[tuple[str, dict[str, int]]]:
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

    with nn.intercept_methods(record):
        jax.eval_shape(module.init, jax.random.key(0), _IMAGE)
    return stages


@functools.cache
def kept_results(module: nn.Module) -> dict[str, int]:
    """Convolutions whose results are worth keeping between passes, and their channels.

    One after the other, the one that saves most multiplications over all passes per channel, as
    long as all together have at most `_MOST_CHANNELS`.
    """
    passes = stages(module)
    if len(passes) > _MOST_PASSES:
        return {}
    candidates = {name: width for _, since in passes for name, width in since.items()}
    work, kept = _Work(module), dict[str, int]()

    def total(names: Collection[str]) -> int:
        given: set[str] = set()
        multiplications = 0
        for statistic, since in passes:
            new = since.keys() & names
            multiplications += work.of({statistic, *new}, given)
            given |= new
        return multiplications + work.of({_RESULT}, given)

    while True:
        room, now = _MOST_CHANNELS - sum(kept.values()), total(kept.keys())
        # On a tie the last one, after which the passes look at the fewest rows.
        savings = {
            name: (now - total({*kept, name})) / width
            for name, width in reversed(candidates.items())
            if name not in kept and width <= room
        }
        best = max(savings, key=savings.__getitem__, default="")
        if not best or savings[best] <= 0:
            return {name: width for name, width in candidates.items() if name in kept}
        kept[best] = candidates[best]


class _Work:
    """How much a network multiplies to compute some of its values, per pixel of its input."""

    def __init__(self, module: nn.Module):
        values: dict[str, jax.Array] = {}

        def network(variables: Any, image: jax.Array) -> Any:
            def supply(
                call: Callable[..., Any], args: Any, kwargs: Any, context: InterceptorContext
            ) -> Any:
                name = "/".join(context.module.path)
                if isinstance(context.module, Statistics):
                    values[name] = layer_input(args, kwargs)
                    shape = (1, 1, 1, values[name].shape[-1])
                    return jnp.zeros(shape), jnp.ones(shape)
                output = call(*args, **kwargs)
                if isinstance(context.module, Conv):
                    values[name] = output
                return output

            with nn.intercept_methods(supply), portable():
                result: Any = module.apply(variables, image)
                values[_RESULT] = result
            return dict(values)

        variables = jax.eval_shape(module.init, jax.random.key(0), _IMAGE)
        jaxpr, shapes = jax.make_jaxpr(network, return_shape=True)(variables, _IMAGE)
        self._equations = jaxpr.jaxpr.eqns
        names = jax.tree.leaves({name: name for name in shapes})
        self._variables = dict(zip(names, jaxpr.jaxpr.outvars, strict=True))

    def of(self, names: Collection[str], given: Collection[str]) -> int:
        """Multiplications for the values of some names, if those of others are given."""
        known = {id(self._variables[name]) for name in given}
        needed = {id(self._variables[name]) for name in names} - known
        multiplications = 0
        for equation in reversed(self._equations):
            if needed.isdisjoint(map(id, equation.outvars)):
                continue
            multiplications += _multiplications(equation)
            needed |= {id(v) for v in equation.invars if not isinstance(v, Literal)} - known
        return multiplications


def _multiplications(equation: JaxprEqn) -> int:
    inner = [value.jaxpr for value in equation.params.values() if isinstance(value, ClosedJaxpr)]
    if equation.primitive.name != "conv_general_dilated":
        return sum(_multiplications(each) for jaxpr in inner for each in jaxpr.eqns)
    kernel: Any = equation.invars[1].aval
    output: Any = equation.outvars[0].aval
    features = equation.params["dimension_numbers"].rhs_spec[0]
    return output.size * kernel.size // kernel.shape[features]
