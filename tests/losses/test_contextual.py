import functools

import jax
import numpy as np
import pytest

from ppcn_jax.losses import contextual
from tests import references
from tests.references import assert_gradients_close

SMALL, LARGE = ("smallA", "smallB"), ("largeA", "largeB")
DISTANCES = {"dotP": "cosine", "L2": "l2"}


def random_pair(shape=(4, 5, 6, 16), seed=0):
    rng = np.random.default_rng(seed)
    return [10 * rng.random(shape, np.float32) for _ in range(2)]


@functools.partial(jax.jit, static_argnames=("distance", "bandwidth"))
def value_and_gradients(prediction, target, **options):
    def mean(prediction, target):
        values = contextual(prediction, target, **options)
        return values.mean(), values

    gradient = jax.value_and_grad(mean, argnums=(0, 1), has_aux=True)
    (_, values), gradients = gradient(prediction, target)
    return values, *gradients


@pytest.mark.parametrize("code", DISTANCES)
@pytest.mark.parametrize(
    ("case", "bandwidth"),
    [(case, bandwidth) for case in SMALL for bandwidth in (0.5, 1.0)]
    + [(case, 0.5) for case in LARGE],
)
def test_equals_released_code(goldens, case, code, bandwidth):
    golden, key = goldens("cx"), f"{case}/{code}/sigma{bandwidth}"
    if case in SMALL:
        prediction, target = golden[f"{case}/I"], golden[f"{case}/T"]
    else:
        prediction, target = (
            golden[name].astype(np.float32) / 32 for name in (f"{case}/I_u8", "large/T_u8")
        )
    values, slope, target_slope = value_and_gradients(
        prediction, target, distance=DISTANCES[code], bandwidth=bandwidth
    )
    np.testing.assert_allclose(values, golden[f"{key}/loss_per_image"], rtol=1e-4)
    for letter, gradient in (("I", slope), ("T", target_slope)):
        norms = np.sqrt(np.square(gradient).sum(axis=(1, 2, 3)))
        np.testing.assert_allclose(norms, golden[f"{key}/grad_{letter}_l2_per_image"], rtol=2e-3)
    if case in SMALL:
        assert_gradients_close(slope, golden[f"{key}/grad_I"])
        assert_gradients_close(target_slope, golden[f"{key}/grad_T"])
    else:
        assert_gradients_close(slope[1], golden[f"{key}/grad_I_img1"])
        assert_gradients_close(slope[:, ::3, ::3, ::8], golden[f"{key}/grad_I_sub"])


@pytest.mark.parametrize("distance", DISTANCES.values())
@pytest.mark.parametrize("bandwidth", [0.1, 0.5, 1.0])
def test_bandwidth(distance, bandwidth):
    pair, options = random_pair((2, 4, 5, 8)), {"distance": distance, "bandwidth": bandwidth}
    np.testing.assert_allclose(
        contextual(*pair, **options), references.contextual(*pair, **options), rtol=2e-5
    )


@pytest.mark.parametrize("distance", DISTANCES.values())
def test_permuting_positions_changes_nothing(distance):
    features = random_pair()[0]
    shuffled = np.random.default_rng(1).permutation(features.reshape(4, 30, 16), axis=1)
    value = contextual(shuffled.reshape(features.shape), features, distance=distance)
    np.testing.assert_allclose(value, 0, atol=1e-4)
    # Rounding may raise the mean of the affinities slightly above 1.
    assert (np.asarray(value) > -1e-6).all()


def test_range():
    values = np.asarray(contextual(*random_pair()))
    assert (values > 0).all() and (values < np.log(30) + 1e-5).all()


def test_images_interact_only_through_the_center():
    prediction, target = random_pair((2, 5, 6, 16))
    target[0] += 5
    together = contextual(prediction, target)
    twice = contextual(*(np.concatenate([x, x]) for x in (prediction, target)))
    np.testing.assert_allclose(twice, np.concatenate([together, together]), rtol=1e-5)
    alone = [contextual(y[None], t[None])[0] for y, t in zip(prediction, target, strict=True)]
    assert np.abs(np.array(alone) - together).min() > 1e-3


@pytest.mark.parametrize("devices", [2, 4])
def test_axis_name_makes_several_devices_equal_one(devices):
    pair = random_pair()
    pair[1][0] += 5  # shifts the center on all devices, not just on the one with this image
    values, *gradients = value_and_gradients(*pair)

    @functools.partial(jax.pmap, axis_name="devices")
    def mapped(prediction, target):
        def total(prediction, target):
            values = contextual(prediction, target, axis_name="devices")
            return values.sum() / 4, values

        gradients, values = jax.grad(total, argnums=(0, 1), has_aux=True)(prediction, target)
        return values, *gradients

    shards = [x.reshape(devices, 4 // devices, *x.shape[1:]) for x in pair]
    sharded = [np.concatenate(np.asarray(x)) for x in mapped(*shards)]
    np.testing.assert_allclose(sharded[0], values, rtol=1e-6)
    for actual, expected in zip(sharded[1:], gradients, strict=True):
        assert_gradients_close(actual, expected, 1e-4)


def test_without_axis_name_devices_differ():
    prediction, target = random_pair()
    target[0] += 5
    mapped = jax.pmap(contextual)(prediction[:, None], target[:, None])
    assert np.abs(mapped[:, 0] - contextual(prediction, target)).min() > 1e-4


def test_feature_at_the_center_has_finite_gradient():
    prediction, target = random_pair((1, 3, 3, 4))
    prediction[0, 1, 1] = target.mean(axis=(0, 1, 2))
    _, *gradients = value_and_gradients(prediction, target)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_unknown_distance_raises():
    with pytest.raises(ValueError, match="'cosine' or 'l2', got 'dot'"):
        contextual(*random_pair(), distance="dot")
