"""The reach of a network: rows above and below that an output row depends on."""

import functools

from ppcn_jax.graphs.graph import Node
from ppcn_jax.inference.structure import OUTPUT, Structure, layout

# Operators that compute row by row, or rearrange channels into rows of the same group.
_ROW_BY_ROW = {
    *("Add", "Concat", "DepthToSpace", "Div", "LeakyRelu", "Mul", "Relu", "Shape", "Slice", "Sqrt"),
    *("Sub", "Tanh"),
}


@functools.cache
def reach(
    structure: Structure, given: frozenset[str] = frozenset(), wanted: frozenset[str] = frozenset()
) -> int:
    """Rows above and below that an output row depends on, apart from statistics of the whole image.

    A network that is strided looks at whole groups of `structure.scale` rows; the reach counts from
    the edges of the output row's group. A network that continues images by reflection has the
    reach of the same network with zeros.

    Args:
        structure: of the network.
        given: names of convolutions whose results are inputs too.
        wanted: names of statistics and convolutions; the rows that the statistics are taken of, and
            the results of the convolutions, count in place of the output. None: the output.

    Returns:
        The most rows on any path from the image or a given result to the output.

    Raises:
        ValueError: an operator that this function cannot follow.
    """
    graph, tensors, strides = layout(structure)
    known = {tensors[name] for name in given}
    reaches: dict[str, int] = {}  # those of images, parameters and known results are 0
    for node in graph.nodes:
        farthest = max(reaches.get(name, 0) for name in node.inputs)
        if node.kind == "Conv":
            farthest += _reach_of_convolution(node) * strides.get(node.inputs[0], 1)
        elif node.kind not in _ROW_BY_ROW:
            raise ValueError(f"cannot follow the rows of an image through {node.kind}")
        reaches[node.output] = 0 if node.output in known else farthest
    return max(reaches.get(tensors[name], 0) for name in wanted or {OUTPUT})


def _reach_of_convolution(node: Node) -> int:
    """Rows of its input beyond the group of rows that becomes a row of its output."""
    height, stride, dilation = (
        node.attributes[name][0] for name in ("kernel_shape", "strides", "dilations")
    )
    # An odd number has one more below; see `Graph.convolve`.
    around = max(dilation * (height - 1) - (stride - 1), 0)
    return -(-around // 2)
