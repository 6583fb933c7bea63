"""Networks in int8: gradients, and parts of images. The files are compared in tests/export."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.inference import any_size
from ppcn_jax.inference.any_size import apply_to_any_size
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.structure import structure_of, structure_of_module
from ppcn_jax.models.int8 import Ranges, in_int8
from ppcn_jax.models.int8_ranges import candidates
from ppcn_jax.weights.load import load_model

LAYERS = ("conv1", "conv2", "conv3")


@pytest.fixture(scope="module")
def student():
    return load_model("student")


def picture(height, width):
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    image *= np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]
    return (255 * image).astype(np.uint8)


@pytest.fixture(scope="module")
def quantized(student):
    """The student in int8, with ranges that contain all values of the picture."""
    images = picture(180, 44)[None] / np.float32(255)
    tried = candidates(student.module, student.params, images)
    assert tuple(tried) == LAYERS
    ranges = {name: Ranges(*(ends[0] for ends in each)) for name, each in tried.items()}
    return in_int8(student.module, ranges)


def gradients(module, model, image):
    def loss(params):
        return jnp.mean(module.apply({"params": params}, image[None] / np.float32(255)))

    return jax.jit(jax.grad(loss))(model.params)


def test_without_ranges_it_is_the_network_itself(student):
    assert in_int8(student.module, None) is student.module


def test_gradients_pass_through_the_rounding(student, quantized):
    image = picture(180, 44)
    exact = gradients(student.module, student, image)
    rounded = gradients(quantized, student, image)
    for name in ("conv0", *LAYERS, "conv4"):
        a, b = np.ravel(exact[name]["kernel"]), np.ravel(rounded[name]["kernel"])
        assert np.dot(a, b) > 0.95 * np.linalg.norm(a) * np.linalg.norm(b), name
        assert (a != b).any()


def test_values_beyond_a_range_have_no_gradient(student):
    nothing = dict.fromkeys(LAYERS, Ranges((0, 0), (0, 0)))
    found = gradients(in_int8(student.module, nothing), student, picture(24, 24))
    assert not np.any(found["conv2"]["kernel"])
    assert np.all(np.isfinite(np.concatenate([np.ravel(x) for x in jax.tree.leaves(found)])))


def test_equal_ranges_share_programs(student, quantized):
    again = in_int8(student.module.clone(), dict(quantized.ranges))
    assert again == quantized and hash(again) == hash(quantized)
    assert again != in_int8(student.module, dict.fromkeys(LAYERS, Ranges((0, 1), (0, 1))))


def test_padded_images_and_bands_are_computed_in_int8(student, quantized, monkeypatch):
    image = picture(180, 44)
    assert reach(structure_of_module(quantized)) == reach(structure_of(student))

    def apply(module):
        return np.asarray(apply_to_any_size(module, student.params, image))

    whole = jax.jit(quantized.apply)({"params": student.params}, image[None] / np.float32(255))[0]
    results = [apply(quantized)]
    monkeypatch.setattr(any_size, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(any_size, "_BAND_PIXELS", 40 * 48)
    results.append(apply(quantized))
    # Sums are rounded differently, and then some values to the next one of a grid.
    away = np.mean(np.abs(apply(student.module) - whole))
    for result in results:
        assert np.mean(np.abs(result - whole)) < away / 20
