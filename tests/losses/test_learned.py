"""LPIPS and DISTS of several layers; each layer alone is in test_every_loss.py."""

import jax
import numpy as np
import pytest

from ppcn_jax.losses import dists, lpips
from tests import references

CHANNELS = (3, 8, 5)


def layers(seed, count=2):
    rng = np.random.default_rng(seed)
    sides = ((8, 9), (4, 5), (2, 3))
    shapes = [(count, *side, c) for side, c in zip(sides, CHANNELS, strict=True)]
    # After a ReLU, so that some positions have only zeros.
    return [np.maximum(rng.standard_normal(shape, np.float32) - 0.5, 0) for shape in shapes]


def weights(seed):
    rng = np.random.default_rng(seed)
    return [rng.random(channels, np.float32) for channels in CHANNELS]


def test_lpips_equals_float64_reference():
    options = {"weights": weights(2)}
    value = lpips(layers(0), layers(1), **options)
    np.testing.assert_allclose(value, references.lpips(layers(0), layers(1), **options), rtol=1e-5)


def test_dists_equals_float64_reference():
    options = {"alpha": weights(2), "beta": weights(3)}
    value = dists(layers(0), layers(1), **options)
    np.testing.assert_allclose(value, references.dists(layers(0), layers(1), **options), rtol=1e-5)


def test_without_weights_all_channels_count_alike():
    ones = [np.ones(channels, np.float32) for channels in CHANNELS]
    value = lpips(layers(0), layers(1))
    np.testing.assert_allclose(value, lpips(layers(0), layers(1), weights=ones), rtol=1e-6)
    value = dists(layers(0), layers(1))
    expected = dists(layers(0), layers(1), alpha=ones, beta=ones)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_lpips_depends_on_directions_and_dists_on_texture():
    maps = layers(0)
    np.testing.assert_allclose(lpips([3 * x for x in maps], maps), 0, atol=1e-6)
    moved = [np.roll(x, 1, axis=2) for x in maps]
    zeros = [0 * w for w in weights(0)]
    np.testing.assert_allclose(dists(moved, maps, beta=zeros), 0, atol=1e-6)
    assert (dists(moved, maps, alpha=zeros) > 0.1).all() and (lpips(moved, maps) > 0.1).all()


def test_weights_may_be_traced():
    value = jax.jit(lambda w: lpips(layers(0), layers(1), weights=w))(weights(2))
    np.testing.assert_allclose(value, lpips(layers(0), layers(1), weights=weights(2)), rtol=1e-6)


@pytest.mark.parametrize("loss", [lpips, dists])
@pytest.mark.parametrize("counts", [(3, 2), (0, 0)])
def test_unequal_numbers_of_layers_raise(loss, counts):
    with pytest.raises(ValueError, match="layers, at least one: got {} and {}".format(*counts)):
        loss(*(layers(0)[:count] for count in counts))
