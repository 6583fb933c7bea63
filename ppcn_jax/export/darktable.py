"""Networks for darktable's module "neural restore", as ONNX graphs that it runs on tiles.

darktable (5.6 and later) cuts a photo into overlapping tiles, continues it by reflection at its
edges, and keeps the inside of each tile's result. A tile cannot have the statistics of the complete
photo, so they are constants of the graph: those of chosen photos.

What darktable expects is stated in darktable-org/darktable, src/common/ai/restore.c and
restore_rgb.c: input `[1, 3, H, W]` in sRGB, [0, 1], sides named "height" and "width", one output of
the scaled size, in the same color space.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.export.contract import clipped, describe
from ppcn_jax.export.onnx import RUNTIME, serialized
from ppcn_jax.graphs.graph import Graph
from ppcn_jax.graphs.networks import FACTORS, add_network
from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.ops.moments import Moments
from ppcn_jax.ops.reflection import reflect
from ppcn_jax.photos.resize import enlarging_weights
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, Model

INPUT, OUTPUT = "input", "output"
# Pixels around a photo that bicubic enlargement looks at.
_AROUND = 2


class Task(NamedTuple):
    """What darktable uses a network for.

    Attributes:
        name: "denoise" for networks that keep the size, whatever they do, or "upscale".
        scale: how many times larger each side becomes.
        file: the name of the graph in a package.
        overlap: pixels of the photo around the part of a tile that is kept.
        smallest_tile: side of the smallest tiles, px of the photo, with the overlap.
    """

    name: str
    scale: int
    file: str
    overlap: int
    smallest_tile: int


def task_of(model: Model) -> Task:
    """The task that a network does in darktable.

    Raises:
        InputError: darktable has no task for it.
    """
    if model.name in ENHANCERS:
        return Task("denoise", 1, "model.onnx", 64, 256)
    scale = scale_of(model)
    if scale not in (2, 4):
        raise InputError(
            f"{model.source} enlarges {scale} times; darktable loads networks that enlarge 2 or 4 "
            "times"
        )
    return Task("upscale", scale, f"model_x{scale}.onnx", 16, 192)


def tile_graph(model: Model, statistics: Mapping[str, Moments], source: str) -> bytes:
    """The content of the ONNX file that darktable runs on tiles.

    Args:
        model: the network.
        statistics: what replaces those of the photo, by the name of their layers.
        source: where the statistics come from, for the metadata.

    Returns:
        A file that maps "input", `[1, 3, H, W]`, to "output", `[1, 3, scale H, scale W]`.
    """
    task = task_of(model)
    graph = Graph(model.params)  # without border: a tile's own edges are not kept
    factor = FACTORS.get(model.name, 1)
    graph.statistics = {
        name: (
            graph.constant(np.reshape(mean, (1, -1, 1, 1)) / factor, f"{name}/mean"),
            graph.constant(np.reshape(variance, (1, -1, 1, 1)) / factor**2, f"{name}/variance"),
        )
        for name, (mean, variance) in statistics.items()
    }
    x = INPUT if task.scale == 1 else _enlarged(graph, INPUT, task.scale)
    x = add_network(graph, x, model.name, model.settings)
    graph.op("Clip", x, graph.constant(0.0), graph.constant(1.0), output=OUTPUT)
    # darktable replaces the names "height" and "width" by the side of its tiles.
    sides = ("height", "width") if task.scale == 1 else ("large_height", "large_width")
    metadata = describe(model, RUNTIME) | {
        "input": "float32 [1, 3, H, W], sRGB in [0, 1]: a tile of a photo, with what is around it",
        "output": f"float32 [1, 3, {task.scale} H, {task.scale} W], sRGB, clipped to [0, 1]",
        "statistics": source,
    }
    return serialized(
        graph, model.name, {INPUT: (1, 3, "height", "width")}, {OUTPUT: (1, 3, *sides)}, metadata
    )


def _enlarged(graph: Graph, x: str, scale: int) -> str:
    """Add bicubic enlargement; as a convolution, which every execution provider has."""
    weights = enlarging_weights(scale)
    kernel = np.einsum("ip,jq->pqij", weights, weights).reshape(scale**2, 1, 5, 5)
    pads = graph.constant(np.tile([0, 0, _AROUND, _AROUND], 2))
    x = graph.op("Pad", x, pads, mode="reflect")
    x = graph.op("Conv", x, graph.constant(np.tile(kernel, (3, 1, 1, 1))), group=3)
    x = graph.op("DepthToSpace", x, blocksize=scale, mode="CRD")
    return graph.op("Clip", x, graph.constant(0.0), graph.constant(1.0))


def on_tiles(model: Model, statistics: Mapping[str, Moments]) -> Callable[[jax.Array], jax.Array]:
    """The function of `tile_graph` in JAX, for float32 images `[N, H, W, 3]`."""
    scale = task_of(model).scale
    # Tiles are continued already; by default, no network continues images itself.
    settings = {name: value for name, value in model.settings.items() if name != "padding"}
    network = clipped(dataclasses.replace(model, settings=settings), statistics)

    def run(images: jax.Array) -> jax.Array:
        if scale == 1:
            return network(images)
        around = reflect(images, _AROUND)
        n, height, width, colors = around.shape
        large = jax.image.resize(around, (n, scale * height, scale * width, colors), "cubic")
        edge = slice(scale * _AROUND, -scale * _AROUND)
        return network(jnp.clip(large[:, edge, edge], 0, 1))

    return run


def tiled(run: Callable[[np.ndarray], np.ndarray], photo: np.ndarray, task: Task) -> np.ndarray:
    """Run a graph as darktable does: on its smallest tiles, each of which keeps its inside.

    Args:
        run: the graph, for `[N, H, W, 3]`.
        photo: float32 `[H, W, 3]`.
        task: the network's.

    Returns:
        float32 `[scale H, scale W, 3]`.
    """
    height, width, colors = photo.shape
    side, overlap, scale = task.smallest_tile, task.overlap, task.scale
    step = side - 2 * overlap
    continued = extended(photo, overlap, step)
    result = np.empty((scale * height, scale * width, colors), np.float32)
    kept = slice(scale * overlap, scale * (side - overlap))
    for top in range(0, height, step):
        for left in range(0, width, step):
            tile = run(continued[None, top : top + side, left : left + side])[0, kept, kept]
            place = result[scale * top :, scale * left :][: scale * step, : scale * step]
            place[...] = tile[: place.shape[0], : place.shape[1]]
    return result


def extended(photo: np.ndarray, overlap: int, step: int = 1) -> np.ndarray:
    """A photo with reflected surroundings, of `overlap` pixels around multiples of `step`."""
    sides: Any = [(overlap, overlap + -side % step) for side in photo.shape[:2]]
    return np.pad(photo, [*sides, (0, 0)], mode="reflect")
