"""Graphs in OpenVINO's forms compute what their operators say."""

import jax
import numpy as np
import pytest

from ppcn_jax.graphs.graph import Graph
from ppcn_jax.graphs.openvino import Compiled, _library
from ppcn_jax.graphs.openvino_model import to_openvino

CHANNELS_FIRST = [0, 3, 1, 2]


def images(graph, name="x"):
    return graph.op("Transpose", name, perm=CHANNELS_FIRST)


def kinds(graph, shapes, outputs):
    """The types of a model's operators, in order."""
    model = to_openvino(_library(), graph, shapes, outputs)
    return [op.get_type_name() for op in model.get_ordered_ops()]


@pytest.mark.parametrize("width", [16, 510, 511, 512, 513, 4000])
def test_moments_without_the_border(width):
    border = 10
    shape = (1, 3, width + 2 * border, 2)
    graph = Graph({}, size=shape[1:3])
    x = images(graph)
    compiled = Compiled(graph, {"x": shape}, graph.row_moments(x, border))
    values = np.random.default_rng(0).normal(100, 1, shape).astype(np.float32)
    values[:, :, :border] *= 1e4  # which a sum in float32 would not forget
    values[:, :, -border:] *= 1e4
    inside = values[0, :, border:-border].astype(np.float64)
    mean, variance = (moment[0, :, :, 0].T for moment in compiled({"x": values}))
    np.testing.assert_allclose(mean, inside.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(variance, inside.var(axis=1), rtol=1e-5)


def test_inputs_stay_in_their_order_until_the_first_convolution():
    graph = Graph({})
    x, y = (images(graph, name) for name in ("x", "y"))
    gained = graph.op("Mul", x, graph.op("Add", "gain", graph.constant(1.0)))
    total = graph.op("Sub", graph.leaky_relu(gained, 0.05), y)
    kernel = np.ones((1, 1, 2, 2), np.float32)
    result = graph.op("Mul", graph.convolve(total, kernel, None, "conv"), total)
    shapes = {"x": (1, 5, 7, 2), "y": (1, 5, 7, 2), "gain": (1, 2, 1, 1)}
    ops = to_openvino(_library(), graph, shapes, [result]).get_ordered_ops()
    # Only what the convolution takes is in the other order, and what is multiplied by its result.
    of_images = [op for op in ops if op.get_type_name() == "Transpose"]
    assert [op.input(0).get_source_output().get_node().get_type_name() for op in of_images] == [
        "Subtract"
    ]
    random = np.random.default_rng(0)
    feeds = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    (output,) = Compiled(graph, shapes, [result])(feeds)
    gained = feeds["x"] * (1 + feeds["gain"].reshape(1, 1, 1, 2))
    total = np.where(gained < 0, 0.05 * gained, gained) - feeds["y"]
    expected = total.sum(axis=3, keepdims=True) * total
    np.testing.assert_allclose(output, expected.transpose(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


def convolved(values, kernel):
    """A convolution with zero padding, `[N, C, H, W]`."""
    result = jax.lax.conv_general_dilated(
        values,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NCHW"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return np.asarray(result)


@pytest.mark.parametrize("width", [16, 17])
@pytest.mark.parametrize("outputs", [1, 3, 4, 5])
def test_convolutions_with_few_outputs(outputs, width):
    random = np.random.default_rng(0)
    graph, shape = Graph({}), (1, 9, width, 8)
    kernel = random.normal(size=(3, 5, 8, outputs)).astype(np.float32)
    bias = random.normal(size=outputs).astype(np.float32)
    result = graph.convolve(images(graph), kernel, bias, "conv")
    values = random.normal(size=shape).astype(np.float32)
    (output,) = Compiled(graph, {"x": shape}, [result])({"x": values})
    expected = convolved(values, kernel) + bias[:, None, None]
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    # Columns are computed together, and their number is not a multiple of theirs.
    columns = 8 // outputs
    assert ("Slice" in kinds(graph, {"x": shape}, [result])) == bool(width % columns)


def test_what_is_concatenated_before_a_convolution_is_not_copied():
    random = np.random.default_rng(0)
    graph, shape = Graph({}), (1, 9, 16, 8)
    kernel = random.normal(size=(3, 3, 16, 8)).astype(np.float32)
    bias = random.normal(size=8).astype(np.float32)
    both = graph.op("Concat", images(graph), images(graph, "y"), axis=1)
    result = graph.convolve(both, kernel, bias, "conv")
    feeds = {name: random.normal(size=shape).astype(np.float32) for name in ("x", "y")}
    shapes = dict.fromkeys(feeds, shape)
    (output,) = Compiled(graph, shapes, [result])(feeds)
    expected = convolved(np.concatenate([*feeds.values()], axis=3), kernel) + bias[:, None, None]
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=2e-5)
    assert "Concat" not in kinds(graph, shapes, [result])


def test_tanh_of_all_numbers():
    values = np.concatenate([np.linspace(-10, 10, 1001), [-1e30, -100, 100, 1e30, np.inf, -np.inf]])
    values = values.astype(np.float32).reshape(1, 1, -1, 1)
    graph = Graph({})
    result = graph.op("Tanh", images(graph))
    (output,) = Compiled(graph, {"x": values.shape}, [result])({"x": values})
    np.testing.assert_allclose(output.ravel(), np.tanh(values.ravel()), rtol=0, atol=2e-7)
