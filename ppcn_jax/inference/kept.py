"""The passes over a large image, and which results are kept from one to the next."""

import functools
from collections.abc import Collection

from ppcn_jax.inference.structure import OUTPUT, Structure, layout

# Channels of the results that are kept, at most: 64 bytes per pixel.
_MOST_CHANNELS = 16
# For networks with more passes, which none of ours has, nothing is kept: finding out takes long.
_MOST_PASSES = 16


@functools.cache
def stages(structure: Structure) -> list[tuple[str, dict[str, int]]]:
    """A network's statistics in order, each with the convolutions that it is the first to need.

    The convolutions are given by name with their numbers of channels; those after the last
    statistic are left to the output.
    """
    graph = layout(structure).graph
    stages: list[tuple[str, dict[str, int]]] = []
    before: set[str] = set()
    for statistic, tensor in graph.measured.items():
        needed = {node.output for node in graph.needed_for([tensor])} - before
        before |= needed
        channels = {
            name: graph.constants[f"{name}/kernel"].shape[0]
            for name, result in graph.convolved.items()
            if result in needed
        }
        stages.append((statistic, channels))
    return stages


@functools.cache
def kept_results(structure: Structure) -> dict[str, int]:
    """Convolutions whose results are worth keeping between passes, and their channels.

    One after the other, the one that saves most multiplications over all passes per channel, as
    long as all together have at most `_MOST_CHANNELS`.
    """
    passes = stages(structure)
    if len(passes) > _MOST_PASSES:
        return {}
    candidates = {name: width for _, since in passes for name, width in since.items()}
    kept: dict[str, int] = {}

    def total(names: Collection[str]) -> float:
        given: set[str] = set()
        multiplications = 0.0
        for statistic, since in passes:
            new = since.keys() & names
            multiplications += _work(structure, {statistic, *new}, given)
            given |= new
        return multiplications + _work(structure, {OUTPUT}, given)

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


def _work(structure: Structure, names: Collection[str], given: Collection[str]) -> float:
    """Multiplications per pixel for the values of some names, if those of others are given."""
    graph, tensors, strides = layout(structure)
    nodes = graph.needed_for([tensors[name] for name in names], [tensors[name] for name in given])
    return sum(
        graph.constants[node.inputs[1]].size / strides[node.output] ** 2
        for node in nodes
        if node.kind == "Conv"
    )
