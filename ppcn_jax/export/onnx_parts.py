"""ONNX files that take statistics as inputs and return them, for programs that work in bands.

A network that looks at statistics of the whole image is run in several passes over it: each file
but the last returns the moments of the rows that the next statistic is made of, given the
statistics before, and the last file gives the output, given all. `docs/export.md` has a program
that does so. The bands are those of `inference/streaming.py`.
"""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from ppcn_jax.export.contract import INPUT, OUTPUT, describe
from ppcn_jax.export.onnx import RUNTIME, Shape, open_session, serialized
from ppcn_jax.export.verify import Run
from ppcn_jax.graphs.graph import Graph
from ppcn_jax.graphs.networks import add_network
from ppcn_jax.inference.borders import border_of, continue_by_reflection
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.structure import statistic_names, structure_of
from ppcn_jax.inference.windows import windows_of
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model

MEAN, VARIANCE = "row_mean", "row_variance"
_BAND = 128  # rows of the bands with which files are compared with JAX


def to_onnx_parts(model: Model, destination: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """The contents of a network's files, by path, in the order in which they are used.

    The last one is the destination; the others are beside it, with a number in their names. All
    take "images", float32 `[1, rows, W, 3]`, a band of an image that was continued by reflection,
    and "NAME/mean" and "NAME/variance" of earlier statistics, `[C]`. The last one returns "result",
    `[1, rows, W, 3]`; the others "row_mean" and "row_variance", `[rows, C]`.

    Raises:
        InputError: a network without statistics.
    """
    structure = structure_of(model)
    border = border_of(structure)
    names = statistic_names(structure)
    if not names:
        raise InputError(
            f"a {model.name} uses no statistics of the image: there is nothing to separate"
        )
    paths = [destination.with_suffix(f".{n}.onnx") for n in range(1, len(names) + 1)]
    plan = {
        "passes": [
            {"file": path.name, "statistic": name} for path, name in zip(paths, names, strict=True)
        ],
        "reach": reach(structure),
        "alignment": structure.scale,
        "border": border,
    }
    metadata = describe(model, RUNTIME) | {"statistics": json.dumps(plan)}
    parts = [*zip(paths, names, strict=True), (destination, None)]
    return {path: _part(model, name, border, metadata) for path, name in parts}


def _part(model: Model, statistic: str | None, border: int, metadata: Mapping[str, str]) -> bytes:
    """The file that returns a statistic's moments of rows; None for the output."""
    graph = Graph(model.params)
    graph.statistics = {
        name: (_per_channel(graph, f"{name}/mean"), _per_channel(graph, f"{name}/variance"))
        for name in statistic_names(structure_of(model))
    }
    x = graph.op("Transpose", INPUT, perm=[0, 3, 1, 2])
    result = add_network(graph, x, model.name, model.settings)
    outputs: dict[str, Shape]
    if statistic is None:
        clipped = graph.op("Clip", result, graph.constant(0.0), graph.constant(1.0))
        graph.op("Transpose", clipped, perm=[0, 2, 3, 1], output=OUTPUT)
        outputs = {OUTPUT: (1, "height", "width", 3)}
    else:
        _moments_of_rows(graph, graph.measured[statistic], border)
        outputs = {name: ("height", "channels") for name in (MEAN, VARIANCE)}
    inputs: dict[str, Shape] = {INPUT: (1, "height", "width", 3)}
    inputs |= {
        f"{name}/{kind}": (f"{name}/channels",)
        for name in graph.statistics
        for kind in ("mean", "variance")
    }
    return serialized(graph, model.name, inputs, outputs, metadata)


def _per_channel(graph: Graph, name: str) -> str:
    """Add an input `[C]`, as `[1, C, 1, 1]`."""
    return graph.op("Reshape", name, graph.constant(np.array([1, -1, 1, 1])))


def _moments_of_rows(graph: Graph, x: str, border: int) -> None:
    """Add the mean and variance over the columns inside the border, `[rows, C]` each."""
    moments = graph.row_moments(x, border)
    for moment, output in zip(moments, (MEAN, VARIANCE), strict=True):
        rows = graph.op("Squeeze", moment, graph.constant(np.array([0, 3])))
        graph.op("Transpose", rows, perm=[1, 0], output=output)


def run_onnx_parts(model: Model, parts: Mapping[pathlib.Path, bytes], *, threads: int) -> Run:
    """The files of `to_onnx_parts`, run in bands, as a function of images `[N, H, W, 3]`."""
    sessions = [open_session(content, threads=threads) for content in parts.values()]
    structure = structure_of(model)
    border = border_of(structure)
    names = statistic_names(structure)

    def run_image(image: np.ndarray) -> np.ndarray:
        continued = continue_by_reflection(image, border)
        known: dict[str, np.ndarray] = {}
        for session, name in zip(sessions, [*names, None], strict=True):
            taken = {value.name for value in session.get_inputs()}
            bands = []
            for window in windows_of(structure, len(continued), _BAND):
                feeds = {INPUT: window.cut(continued)[None]} | known
                outputs = session.run(None, {key: feeds[key] for key in taken})
                bands.append([window.band(rows[0] if name is None else rows) for rows in outputs])
            outputs = [np.concatenate(rows) for rows in zip(*bands, strict=True)]
            if name is not None:
                mean, variance = (
                    rows[border : len(rows) - border].astype(np.float64) for rows in outputs
                )
                known[f"{name}/mean"] = mean.mean(axis=0).astype(np.float32)
                known[f"{name}/variance"] = (variance.mean(axis=0) + mean.var(axis=0)).astype(
                    np.float32
                )
        edge = slice(border, -border or None)
        return outputs[0][edge, edge]

    return lambda images: np.stack([run_image(image) for image in images])
