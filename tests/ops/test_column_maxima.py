import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.ops.column_maxima import column_maxima


def squared_products(y, t, factor):
    return factor * jnp.square(y @ t.T)


def value_and_pull_back(maxima, operands, cotangent):
    value, pull_back = jax.vjp(maxima, *operands)
    return value, *pull_back(cotangent)


@pytest.mark.parametrize("rows", [1, 12, 13])
@pytest.mark.parametrize("block", [1, 5, 6, 12])
def test_equals_maxima_of_the_full_matrix(rows, block):
    rng = np.random.default_rng(rows)
    # Small integers: products are exact, many entries tie, and all entries of a zero column tie.
    y, t = (rng.integers(-1, 2, (count, 3)).astype(np.float32) for count in (rows, 20))
    t[7] = 0
    operands, cotangent = (y, t, np.float32(0.5)), rng.random(20, np.float32)
    block = min(block, rows)
    actual = jax.jit(
        lambda *operands: value_and_pull_back(
            lambda *x: column_maxima(squared_products, block, *x), operands, cotangent
        )
    )(*operands)
    expected = value_and_pull_back(
        lambda *x: jnp.max(squared_products(*x), axis=0), operands, cotangent
    )
    a = np.asarray(squared_products(*operands))
    assert rows == 1 or ((a == a.max(axis=0)).sum(axis=0) > 1).sum() > 5
    np.testing.assert_array_equal(actual[0], expected[0])
    for bar, expected_bar in zip(actual[1:], expected[1:], strict=True):
        np.testing.assert_allclose(bar, expected_bar, rtol=1e-5, atol=1e-6)


def test_nan_propagates():
    y, t = np.ones((7, 3), np.float32), np.ones((4, 3), np.float32)
    y[5, 1] = np.nan
    assert np.isnan(column_maxima(squared_products, 2, y, t, np.float32(1))).all()


def test_derivatives_of_every_mode_and_order():
    rng = np.random.default_rng(0)
    operands = rng.random((11, 3), np.float32), rng.random((7, 3), np.float32), np.float32(0.3)

    def derivatives(maxima):
        def total(*operands):
            return jnp.sum(jnp.log(maxima(*operands)))

        def slope(*operands):
            return jax.jvp(total, operands, operands)[1]

        gradient = jax.grad(total, (0, 1, 2))
        return slope(*operands), jax.jvp(gradient, operands, operands), jax.grad(slope)(*operands)

    blocked = jax.jit(lambda: derivatives(lambda *x: column_maxima(squared_products, 4, *x)))()
    full = jax.jit(lambda: derivatives(lambda *x: jnp.max(squared_products(*x), axis=0)))()
    for actual, expected in zip(*map(jax.tree.leaves, (blocked, full)), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
