"""Losses for pairs that do not fit exactly: what a shift of the target costs."""

import inspect

import jax
import numpy as np
import pytest

from ppcn_jax import losses
from ppcn_jax.losses import bilateral


def features(shape=(2, 6, 7, 8)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def shifted(maps):
    """The same maps, moved around the edges by 2 rows and 3 columns."""
    return np.roll(maps, (2, 3), axis=(1, 2))


@pytest.mark.parametrize("name", ["projected_wasserstein", "sliced_wasserstein"])
def test_distributions_do_not_depend_on_positions(name):
    loss, maps = getattr(losses, name), features()
    np.testing.assert_allclose(loss(shifted(maps), maps), 0, atol=1e-6)
    assert (loss(maps + 1, maps) > 0.1).all()


def test_amplitudes_of_spectra_do_not_depend_on_a_shift_but_phases_do():
    maps = features()
    amplitudes = losses.frequency_distribution(shifted(maps), maps, phase_weight=0)
    both = losses.frequency_distribution(shifted(maps), maps, phase_weight=1)
    np.testing.assert_allclose(amplitudes, 0, atol=1e-4)
    assert (both > 0.1).all()


def test_constant_maps_have_no_phase_but_that_of_the_mean():
    flat = np.full((1, 5, 6, 4), 3, np.float32)
    loss = jax.value_and_grad(lambda y: losses.frequency_distribution(y, flat).sum())
    value, slope = loss(2 * flat)
    assert value > 0 and np.isfinite(slope).all()
    np.testing.assert_array_equal(losses.frequency_distribution(flat, flat), 0)


def test_directions_depend_on_the_seed_alone():
    pair = features(), features()[::-1]
    value = losses.sliced_wasserstein(*pair, seed=1)
    np.testing.assert_array_equal(losses.sliced_wasserstein(*pair, seed=1), value)
    assert (losses.sliced_wasserstein(*pair, seed=2) != value).all()


def test_bilateral_matches_cost_their_distance():
    maps = features((2, 9, 9, 16))
    near, far = maps[:, 1:-1, 1:-1], maps[:, 1:-1, 2:]  # by one column
    weight = 0.1
    value = losses.contextual_bilateral(near, far, spatial_weight=weight)
    columns = near.shape[2]
    # All but the first column find themselves one position away.
    assert (value > weight * (columns - 1) / columns * 0.99).all()
    assert (value < weight + 2 / columns).all()
    free = losses.contextual_bilateral(near, far, spatial_weight=0.0)
    assert (free < 1 / columns).all()


@pytest.mark.parametrize("argument", [0, 1])
def test_bilateral_in_blocks_equals_the_full_matrix(monkeypatch, argument):
    pair = features(), features()[::-1]
    loss = inspect.unwrap(losses.contextual_bilateral)

    def evaluate():
        def total(*pair):
            values = loss(*pair)
            return values.sum(), values

        (_, values), slope = jax.jit(jax.value_and_grad(total, argument, has_aux=True))(*pair)
        return values, slope

    monkeypatch.setattr(bilateral, "LEAST_ROWS", 42)
    expected, slope = evaluate()
    monkeypatch.setattr(bilateral, "BLOCK_ENTRIES", 1)
    monkeypatch.setattr(bilateral, "LEAST_ROWS", 8)  # the last of the blocks is partial
    values, slope_of_blocks = evaluate()
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_allclose(slope_of_blocks, slope, rtol=1e-5, atol=1e-7)


def test_bilateral_needs_less_memory_than_one_full_matrix():
    side = 96
    shape = jax.ShapeDtypeStruct((1, side, side, 64), np.float32)
    gradient = jax.grad(lambda y, t: losses.contextual_bilateral(y, t).sum(), argnums=(0, 1))
    memory = jax.jit(gradient).lower(shape, shape).compile().memory_analysis()
    assert 4 * memory.temp_size_in_bytes < 4 * side**4
