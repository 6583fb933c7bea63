"""Bands give what the whole image gives."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.inference import streaming
from ppcn_jax.inference.streaming import can_keep, default_band, stream
from ppcn_jax.weights.model import make_network

NETWORKS = {
    "student": {},
    "teacher": {},
    "srcnn": {},
    "vdsr": {},
    "dped_resnet": {"blocks": 2, "features": 8},
    "super_resolver": {},
}
WIDTH = 20


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, random_params):
    module = make_network(request.param, NETWORKS[request.param])
    return module, random_params(module, jnp.zeros((1, 16, 16, 3)))


def picture(height, seed=0):
    # Brighter below: statistics of a band are far from those of the whole.
    image = np.random.default_rng(seed).random((height, WIDTH, 3), np.float32)
    return image * np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]


def whole(module, params, image):
    return np.asarray(jax.jit(module.apply)({"params": params}, image[None])[0])


def streamed(module, params, image, band, keep=False):
    output = np.full_like(image, np.nan)
    for first, rows in stream(module, params, image, band=band, keep=keep):
        assert np.isnan(output[first : first + len(rows)]).all()
        output[first : first + len(rows)] = rows
    return output


@pytest.mark.parametrize("band", [7, 40, 1000])
def test_bands_equal_the_whole(network, band):
    module, params = network
    image = picture(180 if hasattr(module, "scale") else 101)
    expected = whole(module, params, image)
    for keep in (False, True):
        output = streamed(module, params, image, band, keep)
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


def test_what_is_kept_is_not_computed_again(random_params, monkeypatch):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    passes = []

    def compiled_too(function):
        def call(*arguments):
            text = function.lower(*arguments).compile().as_text()
            convolutions = text.count(" convolution(")
            passes.append((len(arguments[-2]), convolutions))
            return function(*arguments)

        return call

    for name in ("_gather", "_output"):
        monkeypatch.setattr(streaming, name, compiled_too(getattr(streaming, name)))
    for _ in stream(module, params, picture(100), band=100, keep=True):
        pass
    assert [convolutions for _, convolutions in passes] == [0, 3, 2, 1]
    passes.clear()
    for _ in stream(module, params, picture(300), band=100, keep=True):
        pass
    reaches = [(rows - 100) // 2 for rows, _ in passes[::3]]
    assert reaches == [10, 10, module.kept["conv1"], module.kept["conv3"]]


def test_results_are_kept_where_there_is_memory(random_params, monkeypatch):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    needed = 4 * 3000 * 4000 * (8 + 8)

    def available(size):
        monkeypatch.setattr(streaming, "virtual_memory", lambda: SimpleNamespace(available=size))

    available(4 * needed)
    assert can_keep(module, params, 3000, 4000)
    available(4 * needed - 4)
    assert not can_keep(module, params, 3000, 4000)


def test_integers_are_levels(network):
    module, params = network
    levels = (picture(40) * 65535).astype(np.uint16)
    expected = whole(module, params, levels / np.float32(65535))
    output = np.concatenate([rows for _, rows in stream(module, params, levels, band=16)])
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


def test_an_output_row_depends_on_no_row_beyond_reach(network):
    module, params = network
    height, row = 200, 100
    image = picture(height)

    # What goes through the statistics of the whole image does not count.
    def intercept(call, args, kwargs, context):
        if type(context.module).__name__ != "Statistics":
            return call(*args, **kwargs)
        return jax.lax.stop_gradient(call(*args, **kwargs))

    @jax.jit
    @jax.grad
    def gradient(image):
        with nn.intercept_methods(intercept):
            return module.apply({"params": params}, image[None])[0, row].sum()

    rows = np.flatnonzero(np.abs(np.asarray(gradient(image))).max(axis=(1, 2)))
    assert row - rows.min() <= module.reach and rows.max() - row <= module.reach
    # And not much less: otherwise bands would compute rows in vain.
    assert rows.max() - row >= module.reach * 0.8


def test_default_band_follows_the_free_memory(network, monkeypatch):
    module, params = network
    monkeypatch.setattr(streaming, "_MOST_BYTES", 2**28)
    plenty = default_band(module, params, 2000)
    monkeypatch.setattr(streaming, "_MOST_BYTES", 2**26)
    assert 2 * module.reach <= default_band(module, params, 2000) < plenty / 3
    monkeypatch.setattr(streaming, "_MOST_BYTES", 0)
    assert default_band(module, params, 2000) == 2 * module.reach


def test_a_band_has_a_row():
    module = make_network("student")
    with pytest.raises(ValueError, match="band must be at least 1"):
        next(stream(module, {}, picture(20), band=0))


def test_bands_are_even():
    student = make_network("student")
    windows = list(streaming._windows(student, 1500, 623))
    assert [last - first for first, last, _, _ in windows] == [500, 500, 500]
    assert {bottom - top for _, _, top, bottom in windows} == {500 + 2 * student.reach}
