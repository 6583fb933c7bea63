"""Losses of edges, details and frequencies: values known without their formulas."""

import numpy as np
import pytest

from ppcn_jax.losses import edge_aware_total_variation, focal_frequency, gradient, laplacian, mae


def pair(shape=(2, 12, 15, 3)):
    return np.random.default_rng(0).random((2, *shape), np.float32)


def test_gradient_ignores_a_constant():
    prediction, target = pair()
    shifted = prediction + np.float32([0.1, 0.2, -0.3])
    np.testing.assert_allclose(gradient(shifted, target), gradient(prediction, target), rtol=1e-5)
    np.testing.assert_allclose(gradient(target + 0.25, target), 0, atol=1e-6)


def test_gradient_by_hand():
    step = np.zeros((1, 4, 6, 2), np.float32)
    step[:, :, 3:] = -2  # one of the five horizontal differences is 2
    np.testing.assert_allclose(gradient(step, np.zeros_like(step)), 2 / 5, rtol=1e-6)


def test_a_pyramid_of_one_level_is_the_image():
    prediction, target = pair()
    value = laplacian(prediction, target, levels=1)
    np.testing.assert_allclose(value, mae(prediction, target), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 31, 20, 3)])
def test_a_constant_is_in_the_last_level_only(shape):
    _, target = pair(shape)
    np.testing.assert_allclose(laplacian(target + 0.25, target), 0.25, rtol=1e-5)


def test_details_are_in_the_first_level():
    checkers = np.indices((1, 32, 32, 1)).sum(axis=0) % 2 - np.float32(0.5)
    value = laplacian(checkers, np.zeros_like(checkers), levels=4)
    # But for the edges, where blurring leaves a little.
    np.testing.assert_allclose(value, 0.5, rtol=0.05)


def test_without_weights_frequencies_have_the_squared_error():
    prediction, target = pair()
    expected = np.mean((prediction - target) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(focal_frequency(prediction, target, alpha=0.0), expected, rtol=1e-5)
    assert (focal_frequency(prediction, target) < 0.9 * expected).all()


def test_the_largest_difference_of_the_spectrum_has_the_weight_one():
    wave = np.cos(2 * np.pi * 3 * np.arange(16) / 16).astype(np.float32)
    image = np.broadcast_to(wave[:, None, None], (1, 16, 8, 2))
    flat = np.full_like(image, 0.5)
    # Twice the amplitude of two equal frequencies.
    np.testing.assert_allclose(focal_frequency(image + flat, flat), 0.5, rtol=1e-5)


def test_steps_cost_little_where_the_target_has_them():
    edge, other = np.zeros((2, 1, 6, 8, 3), np.float32)
    edge[:, :, 4:] = 0.5
    other[:, 3:] = 0.5
    same = edge_aware_total_variation(edge, edge)
    np.testing.assert_allclose(same, np.exp(-5) * 0.5 / 7, rtol=1e-5)
    np.testing.assert_allclose(edge_aware_total_variation(edge, other), 0.5 / 7, rtol=1e-5)
    free = edge_aware_total_variation(edge, edge, edge_sensitivity=0.0)
    np.testing.assert_allclose(free, 0.5 / 7, rtol=1e-5)
