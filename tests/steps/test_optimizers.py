"""Learning rates and optimizers against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppcn_jax.steps.optimizers import adam, muon, step_decay


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


# Values far above epsilon, near it and below it, some with changing signs.
GRADIENTS = np.array(
    [
        [1.0, 3e-6, 1e-7, -2e-9],
        [-2.0, 1e-6, 3e-7, 5e-9],
        [0.5, 1e-6, -1e-7, 0.0],
        [0.1, 2e-8, 2e-7, 1e-8],
        [3.0, -4e-6, 1e-7, -3e-9],
    ]
)


def reference_updates(gradients, rates, epsilon_corrected):
    """Kingma and Ba's Algorithm 1, or its form in TensorFlow 1, in float64."""
    first, second, updates = 0.0, 0.0, []
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        if epsilon_corrected:
            unbiased = first / (1 - 0.9**step), second / (1 - 0.999**step)
            updates.append(-rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8))
        else:
            rate = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            updates.append(-rate * first / (np.sqrt(second) + 1e-8))
    return np.array(updates)


@pytest.mark.parametrize("epsilon_corrected", [True, False])
def test_adam_follows_its_formula(epsilon_corrected):
    optimizer = adam(
        step_decay(0.1, boundaries=(2,), factor=0.1), epsilon_corrected=epsilon_corrected
    )
    state, update = optimizer.init(jnp.zeros(4)), jax.jit(optimizer.update)
    rates = [0.1, 0.1, 0.01, 0.01, 0.01]
    expected = reference_updates(GRADIENTS, rates, epsilon_corrected)
    for gradient, wanted in zip(GRADIENTS, expected, strict=True):
        updates, state = update(jnp.asarray(gradient, jnp.float32), state)
        # In float32, 1 - 0.999^t has an error of 1e-5.
        np.testing.assert_allclose(updates, wanted, rtol=3e-5)


def test_conventions_of_epsilon_differ_where_gradients_are_tiny():
    corrected, released = (
        reference_updates(GRADIENTS, np.ones(5), epsilon_corrected)
        for epsilon_corrected in (True, False)
    )
    np.testing.assert_allclose(released[:, 0], corrected[:, 0], rtol=1e-6)
    # 1 / (1 + epsilon / |g|) with epsilon = 1e-8, and with 1e-8 / sqrt(1 - 0.999).
    np.testing.assert_allclose(np.abs(corrected[0, 2:]), [1 / 1.1, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(np.abs(released[0, 2:]), [0.24025, 0.00628481], rtol=1e-4)


def test_the_state_is_that_of_optax_in_both_conventions():
    params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    rate = optax.constant_schedule(1e-3)
    state = optax.adam(rate).init(params)
    for epsilon_corrected in (True, False):
        optimizer = adam(rate, epsilon_corrected=epsilon_corrected)
        assert jax.tree.structure(optimizer.init(params)) == jax.tree.structure(state)
        # Therefore a checkpoint of one can be continued with the other.
        _, state = optimizer.update(params, state)
    assert [int(part.count) for part in state] == [2, 2]


def test_muon_makes_kernel_updates_nearly_orthogonal():
    # 12 inputs of very different magnitude, 4 outputs.
    rng = np.random.default_rng(0)
    gradient = rng.standard_normal((2, 2, 3, 4)) * np.array([1e-3, 1.0, 30.0])[:, None]
    gradients = {"kernel": jnp.asarray(gradient, jnp.float32), "bias": jnp.array([1e-3, -2.0, 5.0])}
    params = jax.tree.map(jnp.zeros_like, gradients)
    optimizer = muon(step_decay(0.1, boundaries=(1,), factor=0.5))
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for rate in (0.1, 0.05):
        updates, state = update(gradients, state, params)
        matrix = np.asarray(updates["kernel"]).reshape(12, 4) / rate
        # The polynomial brings singular values near 1, between 0.7 and 1.2.
        singular = np.linalg.svd(matrix, compute_uv=False)
        assert 0.6 < singular.min() and singular.max() < 1.3
        assert np.linalg.svd(gradient.reshape(12, 4), compute_uv=False).max() > 10
        assert np.sum(matrix * gradient.reshape(12, 4)) < 0  # downhill
        bias = updates["bias"] / rate  # Adam's, independent of the size of gradients
        np.testing.assert_allclose(bias, bias[0] * np.array([1, -1, 1]), rtol=1e-3)
        assert -2 < bias[0] < -0.5


def test_weight_decay_shrinks_kernels_only():
    params = {"kernel": jnp.full((2, 3), 5.0), "bias": jnp.full(3, 5.0)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    optimizer = muon(optax.constant_schedule(0.1), weight_decay=0.2)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.2 * 5.0, rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], 0.0, atol=1e-7)


OPTIMIZERS = {
    "adam": adam(lambda _: 1.0),
    "adam, as in TensorFlow": adam(lambda _: 1.0, epsilon_corrected=False),
    "muon": muon(lambda _: 1.0, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_finite_gradients_make_finite_updates(name):
    """`guarded_update` relies on this: it checks only the norms of gradients."""
    params = {"kernel": jnp.ones((3, 3, 2, 4)), "bias": jnp.ones(4)}
    optimizer = OPTIMIZERS[name]

    @jax.jit
    def step(params, state, size):
        gradients = jax.tree.map(lambda p: size * jnp.sign(jnp.sin(jnp.arange(p.size))), params)
        gradients = jax.tree.map(lambda g, p: g.reshape(p.shape), gradients, params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.tree.norm(gradients), optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    sizes = (0, 1e18, 1e18, 0, 1e-38, 1e18, -1e18, 1e-20)
    for count, size in enumerate(sizes, 1):
        norm, params, state = step(params, state, size)
        assert np.isfinite(norm)
        # With a rate of 1 no update exceeds a few units.
        assert all((np.abs(leaf) < 1 + 10 * count).all() for leaf in jax.tree.leaves(params))
