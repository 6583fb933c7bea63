"""Properties of every loss on tensors `[N, H, W, C]`."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses
from tests import references


class Case(NamedTuple):
    """A loss and its reference, which fixes what has no gradient at `weighted_at`, if given."""

    loss: Callable
    reference: Callable
    channels: int = 3
    magnitude: float = 1.0
    rows_independent: bool = True
    weighted: bool = False


def ignore_target(function):
    return lambda prediction, target: function(prediction)


def one_map(function, **options):
    return lambda prediction, target: function([prediction], [target], **options)


def options(**values):
    return lambda function: functools.partial(function, **values)


def directions(count, channels=16, seed=0):
    """The random unit vectors of sliced distances, which are input to their formulas."""
    drawn = np.asarray(jax.random.normal(jax.random.key(seed), (channels, count)), np.float64)
    return drawn / np.sqrt((drawn**2).sum(axis=0))


# Weights of the channels of learned distances.
WEIGHTS = [np.linspace(0, 1, 16, dtype=np.float32)]
CASES = {
    "l1": Case(losses.l1, references.l1),
    "log_mse": Case(losses.log_mse, references.log_mse),
    "mae": Case(losses.mae, references.mae),
    "perceptual": Case(losses.perceptual, references.perceptual, channels=16, magnitude=20),
    "total_variation": Case(
        ignore_target(losses.total_variation), ignore_target(references.total_variation)
    ),
    "total_variation-l1": Case(
        ignore_target(functools.partial(losses.total_variation, form="l1")),
        ignore_target(references.total_variation_l1),
    ),
    "edge_aware_total_variation": Case(
        losses.edge_aware_total_variation, references.edge_aware_total_variation
    ),
    "charbonnier": Case(*map(options(epsilon=0.2), (losses.charbonnier, references.charbonnier))),
    "gradient": Case(losses.gradient, references.gradient),
    "laplacian": Case(*map(options(levels=3), (losses.laplacian, references.laplacian))),
    "focal_frequency": Case(
        *map(options(alpha=1.5), (losses.focal_frequency, references.focal_frequency)),
        weighted=True,
    ),
    "ms_ssim": Case(losses.ms_ssim, lambda y, t: 1 - references.ms_ssim(y, t, floor=1e-3)),
    "ssim": Case(losses.ssim, references.ssim),
    "color-paper": Case(
        losses.color, functools.partial(references.color, kernel=references.blur_kernel("paper"))
    ),
    "color-released": Case(
        functools.partial(losses.color, kernel="released"),
        functools.partial(references.color, kernel=references.blur_kernel("released")),
    ),
    # The center is a mean over the batch.
    "contextual-cosine": Case(
        losses.contextual, references.contextual, 16, magnitude=20, rows_independent=False
    ),
    "contextual-l2": Case(
        *map(options(distance="l2"), (losses.contextual, references.contextual)), 16, magnitude=20
    ),
    "bilateral": Case(losses.contextual_bilateral, references.contextual_bilateral, 16, 20),
    "projected_wasserstein": Case(
        losses.projected_wasserstein, references.projected_wasserstein, 16, 20
    ),
    "sliced_wasserstein": Case(
        functools.partial(losses.sliced_wasserstein, projections=8, seed=3),
        functools.partial(references.sliced_wasserstein, directions=directions(8, seed=3)),
        channels=16,
        magnitude=20,
    ),
    "frequency_distribution": Case(
        functools.partial(losses.frequency_distribution, projections=8, phase_weight=0.3),
        functools.partial(
            references.frequency_distribution, directions=directions(8), phase_weight=0.3
        ),
        channels=16,
        magnitude=20,
    ),
    "lpips": Case(
        *(one_map(of, weights=WEIGHTS) for of in (losses.lpips, references.lpips)), 16, 20
    ),
    "dists": Case(
        *(one_map(of, alpha=WEIGHTS, beta=WEIGHTS) for of in (losses.dists, references.dists)), 16
    ),
    "attention-norm": Case(one_map(losses.attention), one_map(references.attention), channels=1),
    "attention-squared": Case(
        one_map(losses.attention, form="squared"),
        one_map(references.attention, form="squared"),
        channels=1,
    ),
}


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@functools.cache
def value_and_gradients(loss):
    def evaluate(prediction, target):
        gradient = jax.grad(lambda *pair: loss(*pair).sum(), argnums=(0, 1))
        return loss(prediction, target), *gradient(prediction, target)

    return jax.jit(evaluate)


def random_pair(case, *, count=2, height=16, width=11):
    rng = np.random.default_rng(0)
    shape = (count, height, width, case.channels)
    return [case.magnitude * rng.random(shape, np.float32) for _ in range(2)]


@pytest.mark.parametrize(
    "shape", [(1, 12, 23), (2, 16, 11), (3, 12, 23)], ids=lambda shape: "x".join(map(str, shape))
)
def test_equals_float64_reference(case, shape):
    count, height, width = shape
    pair = random_pair(case, count=count, height=height, width=width)
    value = jax.jit(case.loss)(*pair)
    assert value.shape == (count,) and value.dtype == jnp.float32
    np.testing.assert_allclose(value, case.reference(*pair), rtol=2e-5)


def test_gradient_equals_finite_differences_of_reference(case):
    prediction, target = random_pair(case)
    _, gradient, _ = value_and_gradients(case.loss)(prediction, target)
    coordinates = [(0, 0, 0, 0), (1, 5, 6, 0), (1, 15, 10, case.channels - 1)]
    fixed = {"weighted_at": prediction} if case.weighted else {}
    expected = references.numerical_gradient(
        lambda y: case.reference(y, target, **fixed).sum(),
        prediction,
        coordinates,
        step=1e-6 * case.magnitude,
    )
    largest = np.abs(gradient).max()
    actual = np.array([gradient[c] for c in coordinates])
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * largest)


def test_jit_equals_eager(case):
    pair = random_pair(case)
    np.testing.assert_allclose(jax.jit(case.loss)(*pair), case.loss(*pair), rtol=1e-5)


def test_images_do_not_affect_each_other(case):
    pair = random_pair(case, count=3, height=12, width=23)
    loss = jax.jit(case.loss)
    together = loss(*pair)
    alone = np.concatenate([loss(*(x[i : i + 1] for x in pair)) for i in range(3)])
    if case.rows_independent:
        np.testing.assert_allclose(together, alone, rtol=1e-5)
    else:
        assert np.abs(together - alone).min() > 1e-4


def extremes(shape, magnitude):
    rng = np.random.default_rng(1)
    noise = rng.random(shape, np.float32)
    checkers = (np.indices(shape)[1:3].sum(axis=0) % 2).astype(np.float32)
    return {
        "zeros": (np.zeros(shape), np.zeros(shape)),
        "ones": (np.ones(shape), np.ones(shape)),
        "flat-gray": (np.full(shape, 0.3), np.full(shape, 0.3)),
        "black-and-white": (np.zeros(shape), np.ones(shape)),
        "identical": (noise, noise),
        "faint-noise": (0.5 + 1e-3 * noise, 0.5 + 1e-3 * rng.random(shape, np.float32)),
        "almost-identical": (noise, noise * np.float32(1 + 1e-7)),
        "photo-on-flat": (noise, np.full(shape, 0.5)),
        "flat-on-photo": (np.full(shape, 0.5), noise),
        "inverse": (checkers, 1 - checkers),
        "huge": (1e4 * (2 * noise - 1), -1e4 * noise),
        "denormal": (1e-38 * noise, 2e-38 * noise[::-1]),
        "full-magnitude": (magnitude * noise, magnitude * noise[:, ::-1]),
    }


def test_value_and_both_gradients_are_finite(case):
    evaluate = value_and_gradients(case.loss)
    for name, pair in extremes((2, 16, 11, case.channels), case.magnitude).items():
        results = evaluate(*(np.asarray(x, np.float32) for x in pair))
        assert all(np.isfinite(x).all() for x in results), name


def test_bfloat16_is_converted_to_float32(case):
    pair = [jnp.asarray(x, jnp.bfloat16) for x in random_pair(case)]
    value = jax.jit(case.loss)(*pair)
    assert value.dtype == jnp.float32
    expected = jax.jit(case.loss)(*(x.astype(jnp.float32) for x in pair))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_integers_raise(case):
    integers = np.zeros((1, 12, 12, case.channels), np.uint8)
    floats = integers.astype(np.float32)
    with pytest.raises(TypeError, match="floating.*uint8"):
        case.loss(integers, floats)


def test_wrong_rank_raises(case):
    image = np.zeros((12, 12, case.channels), np.float32)
    with pytest.raises(ValueError, match=r"rank 4.*\(12, 12, "):
        case.loss(image, image)


WITH_TARGET = [name for name in CASES if not name.startswith("total_variation")]
# Identical images do not have the smallest value.
OTHER_MINIMUM = ("contextual", "total_variation")


@pytest.mark.parametrize("name", WITH_TARGET)
@pytest.mark.parametrize("other", [(2, 12, 13), (1, 12, 12)], ids=["side", "broadcastable-batch"])
def test_unequal_shapes_raise_an_error_that_names_both(name, other):
    case = CASES[name]
    shapes = [(2, 12, 12, case.channels), (*other, case.channels)]
    with pytest.raises(ValueError) as error:
        case.loss(*(np.zeros(shape, np.float32) for shape in shapes))
    assert all(str(shape) in str(error.value) for shape in shapes)


@pytest.mark.parametrize("name", WITH_TARGET)
def test_integer_target_raises(name):
    case = CASES[name]
    image = np.zeros((1, 12, 12, case.channels), np.float32)
    with pytest.raises(TypeError, match="target.*int32"):
        case.loss(image, image.astype(np.int32))


@pytest.mark.parametrize(
    "name", [name for name in WITH_TARGET if not any(part in name for part in OTHER_MINIMUM)]
)
def test_identical_is_the_minimum(name):
    case = CASES[name]
    prediction, target = random_pair(case)
    evaluate = value_and_gradients(case.loss)
    value, gradient, _ = evaluate(prediction, target)
    minimum, at_minimum, _ = evaluate(target, target)
    assert (value > 1e-3).all()
    np.testing.assert_allclose(minimum, 0, atol=1e-6)
    # A gradient at the minimum would keep moving pixels that are already correct.
    np.testing.assert_allclose(at_minimum, 0, atol=1e-5 * np.abs(gradient).max())
