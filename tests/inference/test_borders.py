"""Networks that continue images by reflection: every path gives what the whole image gives."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.evaluation.faults import faults
from ppcn_jax.inference import any_size, streaming
from ppcn_jax.inference.any_size import apply_to_any_size
from ppcn_jax.inference.borders import continue_by_reflection, without_reflection
from ppcn_jax.inference.devices import apply_batch, apply_sharded
from ppcn_jax.inference.jax_programs import JaxPrograms
from ppcn_jax.inference.kept import kept_channels, kept_moves
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.streaming import can_keep, stream
from ppcn_jax.inference.structure import structure_of_module
from ppcn_jax.ops.reflection import reflect
from ppcn_jax.weights.model import make_network


@pytest.fixture(scope="module", params=["student", "teacher"])
def network(request, random_params):
    module = make_network(request.param, {"padding": "reflect"})
    return module, random_params(module, jnp.zeros((1, 16, 16, 3)))


def picture(height, width):
    # Brighter below and on the right: statistics of a part are far from those of the whole.
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    image *= np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]
    return image * np.linspace(0.5, 1, width, dtype=np.float32)[:, None]


@functools.partial(jax.jit, static_argnums=0)
def whole(module, params, image):
    return module.apply({"params": params}, image[None])[0]


def assert_close(output, expected):
    assert output.shape == expected.shape and output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "band", "keep"), [((101, 43), 7, True), ((101, 43), 40, False), ((16, 16), 12, True)]
)
def test_bands(network, size, band, keep):
    image = picture(*size)
    output = np.full_like(image, np.nan)
    for first, rows in stream(JaxPrograms(*network), image, band=band, keep=keep):
        assert len(rows) and np.isnan(output[first : first + len(rows)]).all()
        output[first : first + len(rows)] = rows
    assert_close(output, whole(*network, image))


def test_padded_programs(network, monkeypatch):
    image = picture(37, 101)
    expected = whole(*network, image)
    assert_close(apply_to_any_size(*network, image), expected)
    monkeypatch.setattr(any_size, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(any_size, "_BAND_PIXELS", 0)
    assert_close(apply_to_any_size(*network, image), expected)


@pytest.mark.parametrize("size", [(101, 43), (16, 16)])
def test_devices(network, size):
    image = picture(*size)
    devices, expected = jax.devices()[:4], whole(*network, image)
    assert_close(apply_sharded(*network, image, devices), expected)
    images = np.stack([image, image[::-1]])
    assert_close(apply_batch(*network, images, devices)[0], expected)


def test_images_are_continued_by_the_reach(network):
    module, _ = network
    zeros = module.clone(padding="zeros")
    border = reach(structure_of_module(module))
    assert border == reach(structure_of_module(zeros))
    assert without_reflection(module) == (zeros, border)
    assert without_reflection(zeros) == (zeros, 0)
    seen = []

    def record(call, args, kwargs, context):
        seen.append(type(context.module).__name__)
        output = call(*args, **kwargs)
        if seen[-1] == "Reflection":
            assert output.shape[1] - args[0].shape[1] == 2 * border
        return output

    with nn.intercept_methods(record):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
    assert seen.count("Reflection") == 1


@pytest.mark.parametrize(("height", "width", "border"), [(16, 11, 10), (30, 20, 3), (5, 4, 0)])
def test_rows_of_a_continued_image(height, width, border):
    image = picture(height, width)
    expected = np.asarray(reflect(image[None], border)[0])
    np.testing.assert_array_equal(continue_by_reflection(image, border), expected)
    for first in range(0, len(expected), 3):
        for last in range(first + 1, len(expected) + 1, 2):
            rows = continue_by_reflection(image, border, first, last)
            np.testing.assert_array_equal(rows, expected[first:last])


def test_no_line_along_the_edges(network):
    module, params = network
    constant = np.full((40, 50, 3), 0.3, np.float32)
    np.testing.assert_allclose(np.ptp(whole(module, params, constant), axis=(0, 1)), 0, atol=1e-5)
    gradient = np.broadcast_to(np.linspace(0.2, 0.8, 50, dtype=np.float32)[:, None], (40, 50, 3))
    zeros = module.clone(padding="zeros")
    for image in (constant, gradient):
        with_line = faults(image, np.asarray(whole(zeros, params, image)))["border"]
        without = faults(image, np.asarray(whole(module, params, image)))["border"]
        assert with_line > 1 and without < with_line / 4


def test_memory_for_a_border(network, monkeypatch):
    module, params = network
    zeros, border = without_reflection(module)
    whole, continued = (JaxPrograms(each, params) for each in (module, zeros))
    assert whole.default_band(980) == continued.default_band(980 + 2 * border)
    rows = 120 + kept_moves(continued.structure) * (30 + 20)
    needed = 4 * rows * 70 * kept_channels(continued.structure)
    for available, enough in ((4 * needed, True), (4 * needed - 4, False)):
        monkeypatch.setattr(streaming, "available_bytes", lambda size=available: size)
        assert can_keep(whole, 100, 50, 30) == enough
