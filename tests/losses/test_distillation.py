import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.losses import attention, fsp
from tests import references
from tests.references import assert_gradients_close


def random_maps(sizes=((9, 7), (5, 12)), seed=0, count=3):
    rng = np.random.default_rng(seed)
    return tuple(rng.random((count, *size, 1), np.float32) for size in sizes)


@pytest.mark.parametrize("form", ["norm", "squared"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_sums_over_pairs_of_maps(form, number):
    sizes = ((9, 7), (5, 12), (6, 6))[:number]
    student, teacher = random_maps(sizes), random_maps(sizes, seed=1)
    value = jax.jit(attention, static_argnames="form")(student, teacher, form=form)
    assert value.shape == (3,)
    np.testing.assert_allclose(value, references.attention(student, teacher, form=form), rtol=1e-5)


def test_equals_released_code(goldens):
    golden = goldens("losses")

    def maps(net):
        halves = (golden[f"{net}_at{k}_f16"].astype(np.float32) for k in (1, 2))
        return [np.concatenate([half, 0.5 * half[::-1]]) for half in halves]

    def mean(student, teacher):
        return attention(student, teacher, form="squared").mean()

    evaluate = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))
    value, slopes = evaluate(maps("student"), maps("teacher"))
    np.testing.assert_allclose(value, golden["loss_kd/adv0"], rtol=1e-4)
    np.testing.assert_allclose(4 * value, golden["kd_loss_sum_no_batch_div"], rtol=1e-4)
    for net, gradients in zip(("student", "teacher"), slopes, strict=True):
        for k, gradient in enumerate(gradients, 1):
            key = f"grad/loss_kd/{net}_at{k}"
            assert_gradients_close(gradient[:, ::5, ::5], golden[f"{key}/sub5"])
            norms = np.sqrt(np.square(gradient).sum(axis=(1, 2, 3)))
            np.testing.assert_allclose(norms, golden[f"{key}/l2_per_image"], rtol=2e-3)


@pytest.mark.parametrize(
    ("form", "opposite", "orthogonal"),
    [("norm", 2, np.sqrt(2)), ("squared", 2, 1)],
)
def test_depends_on_the_angle_between_maps(form, opposite, orthogonal):
    left, right = np.zeros((2, 1, 2, 2, 1), np.float32)
    left[0, 0], right[0, 1] = 3, 5
    for other, expected in ((7 * left, 0), (-left, opposite), (right, orthogonal)):
        np.testing.assert_allclose(attention([left], [other], form=form), expected, atol=1e-6)


@pytest.mark.parametrize("form", ["norm", "squared"])
def test_equal_maps_have_gradient_zero(form):
    maps = random_maps()
    gradients = jax.grad(lambda s, t: attention(s, t, form=form).sum(), (0, 1))(maps, maps)
    for gradient in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(gradient, 0)


def test_equal_map_does_not_affect_the_gradient_of_another():
    student, teacher = random_maps(), random_maps(seed=1)
    teacher = (student[0], teacher[1])
    first, second = jax.grad(lambda s: attention(s, teacher).sum())(student)
    np.testing.assert_array_equal(first, 0)
    assert np.abs(second).max() > 1e-3


@pytest.mark.parametrize("form", ["norm", "squared"])
def test_zero_map_has_finite_gradient(form):
    zero, maps = (jnp.zeros((1, 5, 5, 1)),), random_maps(((5, 5),), count=1)
    evaluate = jax.jit(jax.grad(lambda s, t: attention(s, t, form=form).sum(), (0, 1)))
    for pair in ((zero, maps), (maps, zero), (zero, zero)):
        gradients = evaluate(*pair)
        assert all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(gradients))


@pytest.mark.parametrize(("students", "teachers"), [(1, 2), (2, 1), (0, 0)])
def test_unequal_numbers_of_maps_raise(students, teachers):
    maps = random_maps()
    with pytest.raises(ValueError, match=f"got {students} and {teachers}"):
        attention(maps[:students], maps[:teachers])


def test_unknown_form_raises():
    with pytest.raises(ValueError, match="'norm' or 'squared', got 'l2'"):
        attention(random_maps(), random_maps(), form="l2")


def random_pairs(seed, side=5, channels=((4, 6), (6, 3))):
    rng = np.random.default_rng(seed)
    return [tuple(rng.random((2, side, 4, c), np.float32) for c in pair) for pair in channels]


def test_fsp_equals_float64_reference_for_other_sizes_of_the_teacher():
    student, teacher = random_pairs(0), random_pairs(1, side=9)
    value = fsp(student, teacher)
    assert value.shape == (2,) and value.dtype == jnp.float32
    np.testing.assert_allclose(value, references.fsp(student, teacher), rtol=1e-5)


def test_gradient_of_fsp_equals_finite_differences():
    (first, second), teacher = random_pairs(0)[0], random_pairs(1)[:1]
    slopes = jax.grad(lambda *pair: fsp([pair], teacher).sum(), (0, 1))(first, second)
    functions = (
        lambda x: references.fsp([(x, second)], teacher).sum(),
        lambda x: references.fsp([(first, x)], teacher).sum(),
    )
    places = [(0, 1, 2, 3), (1, 4, 3, 0)]
    for function, slope, x in zip(functions, slopes, (first, second), strict=True):
        expected = references.numerical_gradient(function, x, places)
        np.testing.assert_allclose([slope[p] for p in places], expected, rtol=1e-3, atol=1e-6)


def test_fsp_does_not_depend_on_where_features_lie():
    pairs = random_pairs(0)
    moved = [tuple(np.roll(x, 2, axis=1) for x in pair) for pair in pairs]
    np.testing.assert_allclose(fsp(moved, pairs), 0, atol=1e-10)


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (random_pairs(0), random_pairs(0)[:1], "got 2 and 1"),
        ([], [], "got 0 and 0"),
        (
            random_pairs(0),
            random_pairs(0, channels=((4, 6), (6, 5))),
            r"\(2, 6, 3\) and \(2, 6, 5\)",
        ),
        ([(np.ones((1, 2, 2, 3), np.float32),)], random_pairs(0)[:1], "got 1 and 2"),
        (
            [(np.ones((1, 2, 2, 3), np.float32), np.ones((1, 1, 1, 3), np.float32))],
            random_pairs(0)[:1],
            r"pair of the prediction .*\(1, 2, 2, 3\) and \(1, 1, 1, 3\)",
        ),
    ],
)
def test_layers_that_do_not_fit_raise(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        fsp(student, teacher)
