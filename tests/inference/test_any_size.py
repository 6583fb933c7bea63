"""Padded images and bands give what the exact program gives, and many sizes share programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.inference import any_size
from ppcn_jax.inference.any_size import apply_to_any_size, shared_side, shares_size
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.structure import statistic_names, structure_of_module
from ppcn_jax.weights.model import make_network


def network(name, random_params, **settings):
    module = make_network(name, settings)
    return module, random_params(module, jnp.zeros((1, 48, 48, 3)))


def picture(height, width):
    # Brighter below and on the right: statistics of a part are far from those of the whole.
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    image *= np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]
    image *= np.linspace(0.5, 1, width, dtype=np.float32)[:, None]
    return (255 * image).astype(np.uint8)


def whole(module, params, image):
    image = np.float32(image / 255)
    return np.asarray(jax.jit(module.apply)({"params": params}, image[None])[0])


def assert_close(output, expected):
    assert output.shape == expected.shape and output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


@pytest.mark.parametrize("name", ["student", "teacher", "super_resolver"])
def test_padding_does_not_change_the_output(name, random_params):
    module, params = network(name, random_params)
    image = picture(36, 44)
    assert not shares_size(*image.shape[:2])
    assert_close(apply_to_any_size(module, params, image), whole(module, params, image))


@pytest.mark.parametrize("name", ["student", "super_resolver"])
def test_bands_of_padded_width_do_not_change_the_output(name, random_params, monkeypatch):
    module, params = network(name, random_params)
    image = picture(180, 44)
    monkeypatch.setattr(any_size, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(any_size, "_BAND_PIXELS", 40 * 48)
    assert_close(apply_to_any_size(module, params, image), whole(module, params, image))


def test_sizes_share_programs(random_params, monkeypatch):
    module, params = network("student", random_params)
    module = module.clone(precision="tensorfloat32")  # no other test has compiled it
    traced = []
    apply = type(module).__call__

    def counted(self, images, **options):
        traced.append(images.shape)
        return apply(self, images, **options)

    monkeypatch.setattr(type(module), "__call__", counted)
    for size in ((33, 41), (40, 48), (38, 43), (34, 47), (36, 44)):
        apply_to_any_size(module, params, picture(*size))
        apply_to_any_size(module, jax.tree.map(np.negative, params), picture(*size))
    # (40, 48) needs no padding and runs the exact program.
    assert traced == [(1, 40, 48, 3)] * 2
    traced.clear()
    monkeypatch.setattr(any_size, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(any_size, "_BAND_PIXELS", 48)
    for size in ((100, 44), (123, 41), (90, 46), (100, 44)):
        apply_to_any_size(module, params, picture(*size))
    structure = structure_of_module(module)
    # One pass for each statistic, whose bands of 20 rows have the rows around that it depends on,
    # and one for the output; square images only show what the network consists of.
    around = [reach(structure, wanted=frozenset({name})) for name in statistic_names(structure)]
    expected = [(20 + 2 * rows, 48) for rows in [*around, 10]]
    assert [(h, w) for _, h, w, _ in traced if h != w] == expected


def test_images_of_a_shared_size_run_the_exact_program(random_params):
    module, params = network("student", random_params)
    image = picture(100, 100)
    np.testing.assert_array_equal(
        apply_to_any_size(module, params, image), apply_network(module, params, image)
    )


@pytest.mark.parametrize("scale", [3, 4])
def test_a_strided_network_on_any_size(scale, random_params):
    module, params = network("super_resolver", random_params, scale=scale)
    for size in ((11 * scale, 7 * scale), (11 * scale + 1, 7 * scale)):
        image = picture(*size)
        assert_close(apply_to_any_size(module, params, image), whole(module, params, image))


def test_sides():
    assert [shared_side(side) for side in (16, 17, 31, 97, 100, 101, 513, 4000)] == [
        *(16, 20, 32, 100, 100, 112, 640, 4096),
    ]
    for side in range(16, 5000):
        padded = shared_side(side)
        assert side <= padded < 1.26 * side + 4
        assert shared_side(padded) == padded
        for scale in (2, 3, 4):
            assert shared_side(side, scale) % scale == 0
    sides = {shared_side(side) for side in range(16, 4097)}
    assert len(sides) < 40


def test_small_images_raise(random_params):
    module, params = network("student", random_params)
    with pytest.raises(ValueError, match="at least 16 px"):
        apply_to_any_size(module, params, picture(15, 40))
