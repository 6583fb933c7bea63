"""The passes over a large image, and which results are kept from one to the next.

The trace of a network says what depends on what.
"""

import functools
from collections.abc import Collection
from typing import Any

import flax.linen as nn
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from ppcn_jax.inference.trace import OUTPUT, trace

# Channels of the results that are kept, at most: 64 bytes per pixel.
_MOST_CHANNELS = 16
# For networks with more passes, which none of ours has, nothing is kept: finding out takes long.
_MOST_PASSES = 16


@functools.cache
def stages(module: nn.Module) -> list[tuple[str, dict[str, int]]]:
    """A network's statistics in order, each with the convolutions since the one before.

    The convolutions are given by name with their numbers of channels; those after the last
    statistic are left to the output.
    """
    stages: list[tuple[str, dict[str, int]]] = []
    since: dict[str, int] = {}
    for name, channels in trace(module).channels.items():
        if channels is None:
            stages.append((name, since))
            since = {}
        else:
            since[name] = channels
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
    kept: dict[str, int] = {}

    def total(names: Collection[str]) -> int:
        given: set[str] = set()
        multiplications = 0
        for statistic, since in passes:
            new = since.keys() & names
            multiplications += _work(module, {statistic, *new}, given)
            given |= new
        return multiplications + _work(module, {OUTPUT}, given)

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


def _work(module: nn.Module, names: Collection[str], given: Collection[str]) -> int:
    """Multiplications for the values of some names, if those of others are given, for one image."""
    traced = trace(module)
    known = {traced.variables[name] for name in given}
    needed = {traced.variables[name] for name in names} - known
    multiplications = 0
    for equation in reversed(traced.equations):
        if not needed.isdisjoint(equation.outvars):
            multiplications += _multiplications(equation)
            needed |= {v for v in equation.invars if not isinstance(v, Literal)} - known
    return multiplications


def _multiplications(equation: JaxprEqn) -> int:
    inner = [value.jaxpr for value in equation.params.values() if isinstance(value, ClosedJaxpr)]
    if equation.primitive.name != "conv_general_dilated":
        return sum(_multiplications(each) for jaxpr in inner for each in jaxpr.eqns)
    kernel: Any = equation.invars[1].aval
    output: Any = equation.outvars[0].aval
    features = equation.params["dimension_numbers"].rhs_spec[0]
    return output.size * kernel.size // kernel.shape[features]
