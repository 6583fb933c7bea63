"""Which results are kept from one pass over a large image to the next, and where."""

import functools
import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from ppcn_jax.graphs.graph import Graph, Node
from ppcn_jax.inference.structure import IMAGES, OUTPUT, Structure, layout, statistic_names

# Channels of the results that are kept, at most: 64 bytes per pixel.
_MOST_CHANNELS = 16
# For networks with more choices after a pass, which none of ours has, nothing is kept: finding the
# best takes long.
_MOST_CHOICES = 64


class Place(NamedTuple):
    """Where a result is kept.

    Attributes:
        memory: number of a memory, which holds one result after the other.
        channels: of the result.
        before: results that the memory held before this one.
    """

    memory: int
    channels: int
    before: int


# The results that are kept after a pass, by name.
Kept = Mapping[str, Place]


@functools.cache
def kept_results(structure: Structure) -> tuple[Kept, ...]:
    """The results to keep after each pass but the last, which takes no statistic.

    They are those with the fewest multiplications over all passes, as long as at most
    `_MOST_CHANNELS` are kept at a time. A result takes the place of one that is not needed again.
    """
    channels = _candidates(structure)
    names = statistic_names(structure)
    # For each set of results: the least work until they are kept, and what was kept after each
    # pass until then.
    ways: dict[frozenset[str], tuple[float, tuple[Kept, ...]]] = {frozenset(): (0, ())}
    for number, statistic in enumerate(names, 1):
        computed = {node.output for node in _needed(structure, names[:number], ())}
        choices = list(_choices(structure, channels, computed))
        if len(choices) > _MOST_CHOICES:
            return ({},) * len(names)
        after: dict[frozenset[str], tuple[float, tuple[Kept, ...]]] = {}
        for chosen, (before, (work, path)) in itertools.product(choices, ways.items()):
            kept = _placed(chosen, channels, path)
            total = work + _work(structure, {statistic, *chosen - before}, before)
            if _channels_of(*path[-1:], kept) <= _MOST_CHANNELS and (
                chosen not in after or total < after[chosen][0]
            ):
                after[chosen] = total, (*path, kept)
        ways = after
    _, best = min(
        ((work + _work(structure, {OUTPUT}, last), path) for last, (work, path) in ways.items()),
        key=lambda way: way[0],
    )
    return best


def kept_channels(structure: Structure) -> int:
    """Channels of all memories for kept results that exist at a time, at most."""
    pairs = itertools.pairwise(({}, *kept_results(structure)))
    return max((_channels_of(*pair) for pair in pairs), default=0)


def kept_moves(structure: Structure) -> int:
    """How often one result takes the place of another in a memory, at most."""
    places = (place for kept in kept_results(structure) for place in kept.values())
    return max((place.before for place in places), default=0)


@functools.cache
def needs_image(
    structure: Structure, given: frozenset[str], wanted: frozenset[str] = frozenset()
) -> bool:
    """Check that what is wanted, by default the output, is computed from the image too.

    Args:
        structure: of the network.
        given: names of results that are known.
        wanted: names of statistics and results.
    """
    names = wanted or {OUTPUT}
    tensors = {layout(structure).tensors[name] for name in names}
    return IMAGES in tensors.union(*(node.inputs for node in _needed(structure, names, given)))


def _candidates(structure: Structure) -> dict[str, int]:
    """Results that may be kept and their channels, the last ones first.

    On a tie those win, after which passes look at the fewest rows.
    """
    graph = layout(structure).graph
    producers = {node.output: node for node in graph.nodes}
    channels = {name: _channels(graph, producers, tensor) for name, tensor in graph.results.items()}
    return {name: channels[name] for name in reversed(channels)}


def _channels(graph: Graph, producers: Mapping[str, Node], tensor: str) -> int:
    """Channels of a convolution's result, or of what was computed from one value by value."""
    node = producers[tensor]
    if node.kind == "Conv":
        return len(graph.constants[node.inputs[1]])
    return _channels(graph, producers, node.inputs[0])


def _choices(
    structure: Structure, channels: Mapping[str, int], computed: Collection[str]
) -> Iterator[frozenset[str]]:
    """Sets of computed results with at most `_MOST_CHANNELS` together, the smallest first."""
    results = layout(structure).graph.results
    names = [name for name in channels if results[name] in computed]
    for count in range(len(names) + 1):
        for chosen in itertools.combinations(names, count):
            if sum(channels[name] for name in chosen) <= _MOST_CHANNELS:
                yield frozenset(chosen)


def _placed(names: frozenset[str], channels: Mapping[str, int], path: tuple[Kept, ...]) -> Kept:
    """The places of results that are kept after what was kept in the passes before."""
    before = path[-1] if path else {}
    free = [place for name, place in before.items() if name not in names]
    memories = 1 + max((place.memory for kept in path for place in kept.values()), default=-1)
    places = {name: before[name] for name in names if name in before}
    for name in channels:
        if name not in names or name in places:
            continue
        same = next((place for place in free if place.channels == channels[name]), None)
        if same is None:
            places[name] = Place(memories, channels[name], 0)
            memories += 1
        else:
            free.remove(same)
            places[name] = same._replace(before=same.before + 1)
    return places


def _channels_of(*passes: Kept) -> int:
    """Channels of the memories in some passes together."""
    memories = {place.memory: place.channels for kept in passes for place in kept.values()}
    return sum(memories.values())


def _needed(structure: Structure, names: Collection[str], given: Collection[str]) -> list[Node]:
    """Nodes for the values of some names, if those of others are given."""
    graph, tensors, _ = layout(structure)
    return graph.needed_for([tensors[name] for name in names], [tensors[name] for name in given])


def _work(structure: Structure, names: Collection[str], given: Collection[str]) -> float:
    """Multiplications per pixel for the values of some names, if those of others are given."""
    graph, _, strides = layout(structure)
    return sum(
        graph.constants[node.inputs[1]].size / strides[node.output] ** 2
        for node in _needed(structure, names, given)
        if node.kind == "Conv"
    )
