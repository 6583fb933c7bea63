"""What depends on what in a network, read off its graph of operators without running it."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppcn_jax.graphs.graph import Graph
from ppcn_jax.graphs.networks import add_network
from ppcn_jax.models.definitions import Params
from ppcn_jax.weights.model import Model, Settings, abstract_params, identify
from ppcn_jax.weights.trees import flatten, unflatten

if TYPE_CHECKING:
    import flax.linen as nn

IMAGES, OUTPUT = "images", ""


class Structure(NamedTuple):
    """A network apart from the values of its parameters, as a key of what is known about it.

    Attributes:
        name: key of `weights.model.NETWORKS`.
        settings: all of its settings.
        shapes: of its parameters, by their names.
    """

    name: str
    settings: tuple[tuple[str, Any], ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def scale(self) -> int:
        """Rows that a strided network computes together, in groups; 1 for other networks."""
        return dict(self.settings).get("scale", 1)

    @property
    def reflects(self) -> bool:
        """True if the network continues images by reflection."""
        return dict(self.settings).get("padding") == "reflect"


def structure_of(model: Model) -> Structure:
    """The structure of a model."""
    return _structure(model.name, model.settings, model.params)


@functools.cache
def structure_of_module(module: "nn.Module") -> Structure:
    """The structure of a network of `make_network`, also if it computes in int8."""
    return _structure(*identify(module), abstract_params(module))


def _structure(name: str, settings: Settings, params: Params) -> Structure:
    shapes = {path: tuple(array.shape) for path, array in flatten(params).items()}
    return Structure(name, tuple(sorted(settings.items())), tuple(sorted(shapes.items())))


class Layout(NamedTuple):
    """The graph of a network for parts of images, which are not continued.

    Statistics of the image are inputs, so that each value depends on its neighborhood only.

    Attributes:
        graph: with parameters and constants that have the right shapes, and any values.
        tensors: the graph's results and what its statistics are taken of, by their names in the
            graph, and the network's `OUTPUT`. Its images are `IMAGES`.
        strides: rows of the image per row of the output of each node.
    """

    graph: Graph
    tensors: Mapping[str, str]
    strides: Mapping[str, int]


@functools.cache
def layout(structure: Structure) -> Layout:
    """Build the graph of a network for parts of images."""
    settings = dict(structure.settings)
    params = unflatten({path: _zeros(shape) for path, shape in structure.shapes})
    complete, graph = Graph(params), Graph(params)
    add_network(complete, IMAGES, structure.name, settings)
    graph.statistics = {name: (f"{name}/mean", f"{name}/variance") for name in complete.measured}
    output = add_network(graph, IMAGES, structure.name, settings)
    graph.constants = {name: _zeros(array.shape) for name, array in graph.constants.items()}
    return Layout(graph, {**graph.results, **graph.measured, OUTPUT: output}, _strides(graph))


def statistic_names(structure: Structure) -> list[str]:
    """The statistics of the whole image that a network takes, in order."""
    return list(layout(structure).graph.measured)


def takes_variance(structure: Structure, statistic: str) -> bool:
    """Return if a network takes the variance of a statistic too, not only its mean."""
    graph = layout(structure).graph
    _, variance = graph.statistics[statistic]
    return any(variance in node.inputs for node in graph.nodes)


def most_channels(structure: Structure) -> float:
    """Numbers per pixel of the image in the largest result of a convolution."""
    graph, _, strides = layout(structure)
    return max(
        len(graph.constants[node.inputs[1]]) / strides[node.output] ** 2
        for node in graph.nodes
        if node.kind == "Conv"
    )


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that take no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _strides(graph: Graph) -> dict[str, int]:
    strides: dict[str, int] = {}
    for node in graph.nodes:
        stride = max(strides.get(name, 1) for name in node.inputs)
        if node.kind == "Conv":
            stride *= node.attributes["strides"][0]
        elif node.kind == "DepthToSpace":
            stride //= node.attributes["blocksize"]
        strides[node.output] = stride
    return strides
