import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.losses import discrimination, real_logit, relativistic, texture
from tests import references

IS_REAL = np.array([True, False, False, True, True])
TARGET = np.linspace(-2, 3, 5, dtype=np.float32)[:, None]
HEADS = pytest.mark.parametrize("outputs", [1, 2])

# name: loss, reference, options of both
LOSSES = {
    "texture": (texture, references.texture, {}),
    "texture-saturating": (texture, references.texture, {"form": "saturating"}),
    "texture-hinge": (texture, references.texture, {"form": "hinge"}),
    "texture-least_squares": (texture, references.texture, {"form": "least_squares"}),
    "discrimination-hinge": (
        discrimination,
        references.discrimination,
        {"is_real": IS_REAL, "form": "hinge"},
    ),
    "discrimination-least_squares": (
        discrimination,
        references.discrimination,
        {"is_real": IS_REAL, "form": "least_squares", "real_label": 0.9},
    ),
    "relativistic": (relativistic, references.relativistic, {"target": TARGET}),
    "relativistic-average": (
        relativistic,
        references.relativistic,
        {"target": TARGET, "average": True},
    ),
    "discrimination": (discrimination, references.discrimination, {"is_real": IS_REAL}),
    "discrimination-clipped": (
        discrimination,
        references.discrimination,
        {"is_real": IS_REAL, "clip": True},
    ),
    "discrimination-smoothed": (
        discrimination,
        references.discrimination,
        {"is_real": IS_REAL, "real_label": 0.9},
    ),
}


@pytest.fixture(params=LOSSES)
def name(request) -> str:
    return request.param


@pytest.fixture
def pair(name):
    """A loss that takes logits `[5, 1]` or `[5, 2]`, and its reference."""
    *functions, options = LOSSES[name]
    return [functools.partial(function, **options) for function in functions]


def random_logits(outputs, seed=0):
    return 3 * np.random.default_rng(seed).standard_normal((5, outputs), dtype=np.float32)


@HEADS
def test_equals_float64_reference(pair, outputs):
    loss, reference = pair
    logits = random_logits(outputs)
    value = jax.jit(loss)(logits)
    assert value.shape == (5,) and value.dtype == jnp.float32
    np.testing.assert_allclose(value, reference(logits), rtol=1e-5)
    np.testing.assert_allclose(loss(logits), value, rtol=1e-6)


@HEADS
def test_gradient_equals_finite_differences_of_reference(pair, outputs):
    loss, reference = pair
    logits = random_logits(outputs)
    gradient = jax.grad(lambda logits: loss(logits).sum())(logits)
    coordinates = list(np.ndindex(logits.shape))
    expected = references.numerical_gradient(lambda x: reference(x).sum(), logits, coordinates)
    np.testing.assert_allclose(gradient.ravel(), expected, rtol=1e-3, atol=1e-6)


@HEADS
@pytest.mark.parametrize("magnitude", [0.0, 30.0, 100.0, 1e4, 1e30])
def test_confident_discriminator_gives_finite_gradient(name, pair, outputs, magnitude):
    if "least_squares" in name and magnitude > 1e18:
        pytest.skip("its square is beyond float32")
    loss, _ = pair
    for sign in (-1, 1):
        logits = jnp.full((5, outputs), sign * magnitude).at[:, -1].multiply(-1)
        value, gradient = jax.value_and_grad(lambda x: loss(x).sum())(logits)
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_rows_are_independent(name, pair):
    if "average" in name:
        pytest.skip("compares with means over the batch")
    loss = pair[0]
    logits = random_logits(1)
    changed = logits.copy()
    changed[2:] += 1
    np.testing.assert_array_equal(loss(logits)[:2], loss(changed)[:2])


@HEADS
def test_the_value_of_a_map_is_the_mean_of_its_patches(outputs):
    maps = 3 * np.random.default_rng(0).standard_normal((5, 2, 3, outputs)).astype(np.float32)
    others = maps[::-1]
    patches, partners = (x.reshape(30, outputs) for x in (maps, others))
    each = np.repeat(IS_REAL, 6)
    for loss, of_maps, of_patches in (
        (texture, (maps,), (patches,)),
        (functools.partial(texture, form="hinge"), (maps,), (patches,)),
        (discrimination, (maps, IS_REAL), (patches, each)),
        (functools.partial(discrimination, form="hinge"), (maps, IS_REAL), (patches, each)),
        (relativistic, (maps, others), (patches, partners)),
        (functools.partial(relativistic, average=True), (maps, others), (patches, partners)),
    ):
        expected = np.mean(np.reshape(loss(*of_patches), (5, 6)), axis=1)
        np.testing.assert_allclose(loss(*of_maps), expected, rtol=1e-5)


def test_heads_agree():
    logits = random_logits(2)
    margin = real_logit(logits)
    np.testing.assert_allclose(margin, logits[:, 0] - logits[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(margin, real_logit(margin[:, None]))
    np.testing.assert_allclose(jax.nn.softmax(logits)[:, 0], jax.nn.sigmoid(margin), rtol=1e-5)


def test_only_the_non_saturating_form_keeps_its_gradient():
    logits = jnp.array([[-40.0], [40.0]])
    kept, saturated = (
        jax.grad(lambda x, form=form: texture(x, form=form).sum())(logits)[:, 0]
        for form in ("non_saturating", "saturating")
    )
    np.testing.assert_allclose(kept, [-1, 0], atol=1e-6)
    np.testing.assert_allclose(saturated, [0, 0], atol=1e-6)


def test_ranges():
    logits = np.linspace(-60, 60, 41, dtype=np.float32)[:, None]
    assert (np.asarray(texture(logits)) >= 0).all()
    saturating = np.asarray(texture(logits, form="saturating"))
    assert saturating.max() <= 0 and saturating.min() == pytest.approx(np.log(1e-10), rel=1e-6)
    for real in (True, False):
        clipped = np.asarray(discrimination(logits, np.full(41, real), clip=True))
        assert clipped.min() >= 0 and clipped.max() == pytest.approx(-np.log(1e-10), rel=1e-6)


def test_texture_opposes_discrimination():
    logits, fake = random_logits(1), np.zeros(5, bool)
    saturating = texture(logits, form="saturating")
    np.testing.assert_allclose(saturating, -discrimination(logits, fake, clip=True), rtol=1e-5)
    np.testing.assert_allclose(texture(logits), discrimination(logits, ~fake), rtol=1e-6)


def test_hinge_and_least_squares_of_the_two_players():
    logits = np.float32([[-2], [0], [1], [3]])
    real, fake = np.ones(4, bool), np.zeros(4, bool)
    hinge = functools.partial(discrimination, form="hinge")
    np.testing.assert_allclose(hinge(logits, real), [3, 1, 0, 0])
    np.testing.assert_allclose(hinge(logits, fake), [0, 1, 2, 4])
    np.testing.assert_allclose(texture(logits, form="hinge"), -logits[:, 0])
    squares = functools.partial(discrimination, form="least_squares")
    np.testing.assert_allclose(squares(logits, real), [4.5, 0.5, 0, 2])
    np.testing.assert_allclose(squares(logits, fake), [2, 0, 0.5, 4.5])
    np.testing.assert_allclose(texture(logits, form="least_squares"), squares(logits, real))


def test_relativistic_players_oppose_each_other():
    enhanced, target = random_logits(1), TARGET
    up = jax.grad(lambda x: relativistic(x, target).sum())(enhanced)
    down = jax.grad(lambda x: relativistic(target, x).sum())(enhanced)
    assert (up < 0).all() and (down > 0).all()
    np.testing.assert_allclose(relativistic(target, target), np.log(2), rtol=1e-6)
    # Only differences count.
    shifted = relativistic(enhanced + 5, target + 5, average=True)
    np.testing.assert_allclose(shifted, relativistic(enhanced, target, average=True), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "hinge", "real_label": 0.9}, "real_label must be 1 with the form 'hinge'"),
        ({"form": "hinge", "clip": True}, "clip must be False with the form 'hinge'"),
        ({"form": "least_squares", "clip": True}, "clip must be False"),
    ],
)
def test_options_that_a_form_does_not_have_raise(options, message):
    with pytest.raises(ValueError, match=message):
        discrimination(random_logits(1), IS_REAL, **options)


def test_relativistic_of_unequal_shapes_raises():
    with pytest.raises(ValueError, match=r"\(5, 1\) and \(4, 1\)"):
        relativistic(random_logits(1), random_logits(1)[:4])


def test_smoothed_label_is_the_optimal_probability():
    real, label = np.array([True]), 0.9
    optimum = np.array([[np.log(label / (1 - label))]], np.float32)
    slope = jax.grad(lambda x: discrimination(x, real, real_label=label).sum())
    np.testing.assert_allclose(slope(optimum), 0, atol=1e-6)
    assert slope(optimum + 3) > 0 > slope(optimum - 3)


def test_label_of_enhanced_images_is_not_smoothed():
    fake = np.zeros(5, bool)
    logits = random_logits(1)
    smoothed = discrimination(logits, fake, real_label=0.7)
    np.testing.assert_array_equal(smoothed, discrimination(logits, fake))


def test_bfloat16_is_converted_to_float32(pair):
    logits = jnp.asarray(random_logits(1), jnp.bfloat16)
    value = pair[0](logits)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, pair[0](logits.astype(jnp.float32)))


def test_integers_raise(pair):
    with pytest.raises(TypeError, match="logits must be floating.*int32"):
        pair[0](np.zeros((5, 1), np.int32))


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 0), (5, 1, 1)])
def test_wrong_shape_raises(pair, shape):
    with pytest.raises(ValueError, match="logits must"):
        pair[0](np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(), (4,), (5, 1)])
def test_is_real_of_wrong_shape_raises(shape):
    with pytest.raises(ValueError, match=r"is_real must have shape \(5,\)"):
        discrimination(random_logits(1), np.ones(shape, bool))


def test_unknown_form_raises():
    with pytest.raises(ValueError, match="form must be .*, got 'wasserstein'"):
        texture(random_logits(1), form="wasserstein")
