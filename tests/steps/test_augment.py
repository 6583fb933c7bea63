"""Flips and rotations: uniform, paired, and independent of the number of devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.steps.augment import image_keys, random_dihedral

# Flips and rotations by 90 degrees of a square.
DIHEDRAL = [
    transformed
    for square in (np.arange(9).reshape(3, 3), np.arange(9).reshape(3, 3).T)
    for transformed in (np.rot90(square, k) for k in range(4))
]


def make_keys(count, step=0, seed=0):
    return image_keys(seed, jnp.int32(step), count)


def test_all_eight_are_equally_frequent():
    count = 800
    square = np.broadcast_to(np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1), (count, 3, 3, 1))
    (transformed,) = jax.jit(random_dihedral)(make_keys(count), square)
    assert transformed.dtype == jnp.uint8
    seen = [tuple(x.ravel()) for x in np.asarray(transformed)]
    frequencies = [seen.count(tuple(symmetry.ravel())) for symmetry in DIHEDRAL]
    assert sum(frequencies) == count
    # Each is expected 100 times, with a standard deviation of 9.4.
    assert min(frequencies) > 60 and max(frequencies) < 140


def test_batches_are_transformed_in_the_same_way_and_images_differently():
    rng = np.random.default_rng(0)
    left = rng.integers(0, 256, (32, 8, 8, 3), np.uint8)
    right = rng.random((32, 8, 8, 1), np.float32)
    right[..., 0] = left[..., 0] / 255
    transformed_left, transformed_right = jax.jit(random_dihedral)(make_keys(32), left, right)
    np.testing.assert_allclose(transformed_right[..., 0], transformed_left[..., 0] / 255, rtol=1e-6)
    same = [np.array_equal(a, b) for a, b in zip(left, transformed_left, strict=True)]
    assert 0 < sum(same) < 16


def test_keys_depend_on_seed_step_and_position():
    draws = {
        tuple(jax.random.key_data(key).tolist())
        for seed in (0, 1)
        for step in (0, 1)
        for key in make_keys(4, step, seed)
    }
    assert len(draws) == 16


def test_keys_repeat():
    first, second = (jax.random.key_data(make_keys(4, step=7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("devices", [2, 4])
def test_draws_do_not_depend_on_the_number_of_devices(devices):
    count = 8 // devices
    images = np.random.default_rng(0).integers(0, 256, (8, 5, 5, 3), np.uint8)

    @functools.partial(jax.pmap, axis_name="devices")
    def mapped(images, step):
        keys = image_keys(3, step, count, "devices")
        return jax.random.key_data(keys), random_dihedral(keys, images)[0]

    steps = np.full(devices, 11, np.int32)
    keys, transformed = mapped(images.reshape(devices, count, 5, 5, 3), steps)
    alone = make_keys(8, step=11, seed=3)
    np.testing.assert_array_equal(np.concatenate(keys), jax.random.key_data(alone))
    np.testing.assert_array_equal(np.concatenate(transformed), random_dihedral(alone, images)[0])


def test_images_that_are_not_square_raise():
    square, other = np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 5, 3))
    with pytest.raises(ValueError, match=r"square images, got \(2, 4, 5, 3\)"):
        random_dihedral(make_keys(2), square, other)
