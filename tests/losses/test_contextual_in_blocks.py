"""Large maps are compared in blocks of rows: the same result in less memory."""

import functools
import importlib
import inspect

import jax
import numpy as np
import pytest

from ppcn_jax import losses

# In the package, the name `contextual` is the function, not the module.
MODULE = importlib.import_module("ppcn_jax.losses.contextual")
# Without the wrapper that compiles, whose programs would keep their block size.
contextual = inspect.unwrap(losses.contextual)
DISTANCES = ("cosine", "l2")


def random_pair(shape, seed=0):
    rng = np.random.default_rng(seed)
    return [10 * rng.random(shape, np.float32) for _ in range(2)]


def value_and_gradients(**options):
    """Return a new jitted function, because a compiled one would keep its block size."""

    def weighted(prediction, target):
        values = contextual(prediction, target, **options)
        return (values * np.arange(1, len(values) + 1, dtype=np.float32)).sum(), values

    gradient = jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True)

    def evaluate(prediction, target):
        (_, values), gradients = gradient(prediction, target)
        return values, *gradients

    return jax.jit(evaluate)


def assert_close(actual, expected):
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6, atol=1e-6)
    for gradient, exact in zip(actual[1:], expected[1:], strict=True):
        np.testing.assert_allclose(gradient, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def compare(monkeypatch, pair, rows, **options):
    """Compare blocks of `rows` rows with the full matrix; return the gradients of the blocks."""
    images, positions = len(pair[0]), pair[0].shape[1] * pair[0].shape[2]
    expected = value_and_gradients(**options)(*pair)
    monkeypatch.setattr(MODULE, "BLOCK_ENTRIES", images * rows * positions)
    monkeypatch.setattr(MODULE, "LEAST_ROWS", 1)
    assert images * rows < positions
    actual = value_and_gradients(**options)(*pair)
    assert_close(actual, expected)
    return actual[1:]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("shape", "rows"),
    [((1, 7, 9, 32), 8), ((3, 5, 7, 32), 8)],
    ids=["partial-last-block", "several-images"],
)
def test_equals_full_matrix(monkeypatch, shape, rows, distance):
    compare(monkeypatch, random_pair(shape), rows, distance=distance, bandwidth=0.3)


@pytest.mark.parametrize("distance", DISTANCES)
def test_ties_share_the_gradient(monkeypatch, distance):
    prediction, target = random_pair((2, 6, 7, 32))
    # Similar flat regions: rows of A that tie within and across blocks and hold the maxima of some
    # columns, and minima that tie within a row.
    target[:, 4:] = target[:, :1, :1]
    prediction[:, :1, :1] = 0.5 * (target[:, :1, :1] + prediction[:, :1, :1])
    prediction[:, 2:4] = prediction[:, :1, :1]
    slope, _ = compare(monkeypatch, [prediction, target], 9, distance=distance)
    region = np.asarray(slope[:, 2:4])
    assert np.abs(region).max() > 1e-3 * np.abs(slope).max()
    spread = np.abs(region - np.asarray(slope[:, :1, :1])).max()
    assert spread <= 1e-6 * np.abs(slope).max()


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("entries", [2**20, 300], ids=["full", "blocks"])
def test_identical_images_have_the_smallest_loss(monkeypatch, entries, distance):
    monkeypatch.setattr(MODULE, "BLOCK_ENTRIES", entries)
    monkeypatch.setattr(MODULE, "LEAST_ROWS", 7)
    evaluate = value_and_gradients(distance=distance)
    other, target = random_pair((2, 6, 7, 32))
    value, *slopes = evaluate(other, target)
    minimum, *at_minimum = evaluate(target, target)
    np.testing.assert_allclose(minimum, 0, atol=1e-6)
    assert (value > 1).all()
    for slope, at_minimum_slope in zip(slopes, at_minimum, strict=True):
        assert np.abs(at_minimum_slope).max() < 1e-5 * np.abs(slope).max()
    for share in (1e-4, 1e-2, 0.5):
        mixture = (1 - share) * target + share * other
        assert (evaluate(mixture.astype(np.float32), target)[0] >= minimum - 1e-6).all()


def test_vmap(monkeypatch):
    pairs = [random_pair((2, 5, 6, 32), seed) for seed in (0, 1)]
    evaluate = value_and_gradients()
    expected = [evaluate(*pair) for pair in pairs]
    monkeypatch.setattr(MODULE, "BLOCK_ENTRIES", 100)
    monkeypatch.setattr(MODULE, "LEAST_ROWS", 4)
    mapped = jax.vmap(value_and_gradients())(*(np.stack(x) for x in zip(*pairs, strict=True)))
    for i in (0, 1):
        assert_close([x[i] for x in mapped], expected[i])


def test_axis_name_makes_several_devices_equal_one(monkeypatch):
    pair = random_pair((4, 5, 6, 32))
    pair[1][0] += 5  # shifts the center on all devices, not just on the one with this image
    expected = value_and_gradients()(*pair)
    monkeypatch.setattr(MODULE, "BLOCK_ENTRIES", 100)
    monkeypatch.setattr(MODULE, "LEAST_ROWS", 4)

    @functools.partial(jax.pmap, axis_name="devices")
    def mapped(prediction, target, weights):
        def total(prediction, target):
            values = contextual(prediction, target, axis_name="devices")
            return (weights * values).sum(), values

        gradients, values = jax.grad(total, argnums=(0, 1), has_aux=True)(prediction, target)
        return values, *gradients

    weights = np.arange(1, 5, dtype=np.float32)
    shards = [x.reshape(2, 2, *x.shape[1:]) for x in (*pair, weights)]
    assert_close([np.concatenate(np.asarray(x)) for x in mapped(*shards)], expected)


def compiled_memory(side, distance, make=value_and_gradients):
    """Return the bytes of temporaries, and of temporaries, arguments and results together."""
    shape = jax.ShapeDtypeStruct((1, side, side, 512), np.float32)
    memory = make(distance=distance).lower(shape, shape).compile().memory_analysis()
    extra = memory.temp_size_in_bytes
    return extra, extra + memory.argument_size_in_bytes + memory.output_size_in_bytes


@pytest.mark.parametrize("distance", DISTANCES)
def test_blocks_need_a_tenth_of_the_temporary_memory(monkeypatch, distance):
    extra, _ = compiled_memory(65, distance)
    monkeypatch.setattr(MODULE, "BLOCK_ENTRIES", 65**4)
    full, _ = compiled_memory(65, distance)
    assert 10 * extra <= full


def test_memory_is_linear(monkeypatch):
    smaller, _ = compiled_memory(64, "cosine")
    extra, total = compiled_memory(128, "cosine")
    assert extra <= 4 * smaller and total < 2e9
    monkeypatch.setattr(MODULE, "BLOCK_ENTRIES", 128**4)
    _, full = compiled_memory(128, "cosine")
    assert full > 4e9


def hessian_vector_product(**options):
    def evaluate(prediction, target):
        gradient = jax.grad(lambda y: contextual(y, target, **options).sum())
        return jax.jvp(gradient, (prediction,), (target,))[1]

    return jax.jit(evaluate)


def test_second_derivatives_need_less_memory_than_one_full_matrix():
    extra, _ = compiled_memory(128, "cosine", hessian_vector_product)
    assert 10 * extra < 4 * 128**4
