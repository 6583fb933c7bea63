import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppcn_jax.schedules import adam, step_decay


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 5e-4), (9_999, 5e-4), (10_000, 5e-5), (19_999, 5e-5), (20_000, 5e-6)]
)
def test_step_decay(step, rate):
    schedule = step_decay(5e-4, boundaries=(10_000, 20_000), factor=0.1)
    np.testing.assert_allclose(schedule(step), rate, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.int32(step)), rate, rtol=1e-6)


def test_no_boundaries_is_constant():
    schedule = step_decay(2e-4, boundaries=(), factor=0.5)
    np.testing.assert_allclose([schedule(step) for step in (0, 10**6)], 2e-4, rtol=1e-6)


@pytest.mark.parametrize("boundaries", [(0,), (-5, 10), (10, 10), (20, 10)], ids=str)
def test_bad_boundaries_raise(boundaries):
    with pytest.raises(ValueError, match="positive and increasing"):
        step_decay(5e-4, boundaries=boundaries, factor=0.1)


def test_adam_follows_its_formula():
    schedule = step_decay(0.1, boundaries=(2,), factor=0.1)
    optimizer = adam(schedule)
    params, first, second = jnp.array([1.0, -2.0]), 0.0, 0.0
    state, expected = optimizer.init(params), np.array(params, np.float64)
    for step, gradient in enumerate(np.array([[1, 3], [-2, 1], [0.5, 1e-6]]), 1):
        updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state)
        params = optax.apply_updates(params, updates)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9**step), second / (1 - 0.999**step)
        rate = 0.1 if step <= 2 else 0.01
        expected = expected - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
        np.testing.assert_allclose(params, expected, rtol=1e-5)
