"""The networks of `models/` in ONNX's operators.

Each function adds its network to a graph, from images `[N, 3, H, W]` to unclipped images. The
graphs are written by hand, because converters add transposes around every convolution and expand
each norm: their files are larger and take about twice as long. Every export is compared with JAX,
and the tests do so for each network.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ppcn_jax.graphs.graph import Graph
from ppcn_jax.models.definitions import BLOCKS, CONTRAST, RESIDUALS, SLOPE, STRIDES
from ppcn_jax.ops import luma
from ppcn_jax.weights.model import Settings


def add_network(graph: Graph, images: str, name: str, settings: Settings) -> str:
    """Add a network to a graph, from images `[N, 3, H, W]` to unclipped ones of the same shape.

    Args:
        graph: with the parameters of the network.
        images: tensor of the images.
        name: of the network, a key of `weights.model.NETWORKS`.
        settings: all of its settings.

    Returns:
        The tensor of the result.
    """
    return NETWORKS[name](graph, images, settings)


def _student(graph: Graph, images: str, settings: Settings) -> str:
    x = _stretch_contrast(graph, graph.reflection(images))
    x = _lrelu(graph, graph.conv(x, "conv0"))
    c1 = _lrelu(graph, graph.conv(x, "conv1"))
    x = graph.conv(c1, "conv2", dilation=2, before_norm=True)
    x = _lrelu(graph, graph.instance_norm(x, "norm2"))
    x = graph.conv(x, "conv3", dilation=2, before_norm=True)
    x = _lrelu(graph, graph.instance_norm(x, "norm3"))
    c3 = graph.op("Add", x, c1)
    return _enhancer_output(graph, graph.conv(c3, "conv4"))


def _teacher(graph: Graph, images: str, settings: Settings) -> str:
    x = _stretch_contrast(graph, graph.reflection(images))
    x = _lrelu(graph, graph.conv(x, "conv0"))
    stage = _lrelu(graph, graph.conv(x, "conv1"))
    stages = []
    for first, dilation in ((2, 1), (4, 2)):
        x = graph.conv(stage, f"conv{first}", dilation=dilation, before_norm=True)
        x = _lrelu(graph, graph.instance_norm(x, f"norm{first}"))
        x = graph.conv(x, f"conv{first + 1}", dilation=dilation, before_norm=True)
        stage = graph.sum(graph.instance_norm(x, f"norm{first + 1}"), stage, f"sum{first + 1}")
        stages.append(stage)
    x = graph.op("Concat", *stages, axis=1)
    x = _lrelu(graph, graph.conv(x, "conv6"))
    return _enhancer_output(graph, graph.conv(x, "conv7"))


def _dped_resnet(graph: Graph, images: str, settings: Settings) -> str:
    x = graph.op("Relu", graph.conv(images, "conv0"))
    last = 2 * settings["blocks"]
    for first in range(1, last, 2):
        y = x
        for index in (first, first + 1):
            y = graph.conv(y, f"conv{index}", before_norm=True)
            y = graph.op("Relu", graph.instance_norm(y, f"norm{index}"))
        x = graph.op("Add", x, y)
    for index in (last + 1, last + 2):
        x = graph.op("Relu", graph.conv(x, f"conv{index}"))
    return _enhancer_output(graph, graph.conv(x, f"conv{last + 3}"))


def _srcnn(graph: Graph, images: str, settings: Settings) -> str:
    x = images
    for index in range(2):
        x = graph.op("Relu", graph.conv(x, f"conv{index}"))
    return _enhancer_output(graph, graph.conv(x, "conv2"))


def _vdsr(graph: Graph, images: str, settings: Settings) -> str:
    weights = np.array(luma.STUDIO_WEIGHTS, np.float32).reshape(1, 1, 3, 1)
    x = graph.convolve(images, weights, np.array([luma.STUDIO_BLACK], np.float32), "luma")
    for index in range(19):
        x = graph.op("Relu", graph.conv(x, f"conv{index}"))
    residual = graph.conv(x, "conv19")
    color = graph.op("Mul", residual, graph.constant(luma.STUDIO_TO_FULL_RANGE))
    return graph.op("Add", images, color)


def _super_resolver(graph: Graph, images: str, settings: Settings) -> str:
    scale = settings["scale"]
    mean = graph.image_mean(images, "mean")
    # The network computes in pixel values of 0 to 255; its first and last kernels do the scaling.
    down0, pixels = graph.params["down0"], graph.params["pixels"]
    first, second = STRIDES[scale]
    x = graph.op("Sub", images, mean)
    x = graph.convolve(x, 255 * down0["kernel"], down0["bias"], "down0", stride=first)
    x = graph.conv(_lrelu(graph, x), "down1", stride=second)
    entry = x = graph.conv(_lrelu(graph, x), "entry")
    for block in range(BLOCKS):
        start = x
        for residual in range(RESIDUALS):
            name = f"block{block}_residual{residual}"
            y = _lrelu(graph, graph.conv(x, f"{name}_conv0"))
            x = graph.op("Add", x, graph.conv(y, f"{name}_conv1"))
        x = graph.op("Add", start, graph.conv(x, f"block{block}_transition"))
    x = graph.op("Add", entry, graph.conv(x, "merge"))
    x = graph.conv(x, "refine")
    x = graph.convolve(x, pixels["kernel"] / 255, pixels["bias"] / 255, "pixels")
    x = graph.op("DepthToSpace", x, blocksize=scale, mode="CRD")
    size = graph.op("Shape", images, start=2, end=4)
    corner, axes = graph.constant(np.array([0, 0])), graph.constant(np.array([2, 3]))
    return graph.op("Add", graph.op("Slice", x, corner, size, axes), mean)


# What the values of images are multiplied by before a statistic that the graph takes of images.
FACTORS = {"super_resolver": 255}

NETWORKS: Mapping[str, Callable[[Graph, str, Settings], str]] = {
    "student": _student,
    "teacher": _teacher,
    "dped_resnet": _dped_resnet,
    "srcnn": _srcnn,
    "super_resolver": _super_resolver,
    "vdsr": _vdsr,
}


def _stretch_contrast(graph: Graph, images: str) -> str:
    mean = graph.image_mean(images, "contrast")
    mean = graph.op("Mul", mean, graph.constant(CONTRAST - 1))
    return graph.op("Sub", graph.op("Mul", images, graph.constant(CONTRAST)), mean)


def _lrelu(graph: Graph, x: str) -> str:
    return graph.leaky_relu(x, SLOPE)


def _enhancer_output(graph: Graph, x: str) -> str:
    x = graph.op("Mul", graph.op("Tanh", graph.inside(x)), graph.constant(0.58))
    return graph.op("Add", x, graph.constant(0.5))
