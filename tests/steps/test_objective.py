"""The objective: its total, its roles, and which configurations it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses
from ppcn_jax.steps.objective import LOSSES, Objective, Term, make_objective


def random_roles(seed):
    rng = np.random.default_rng(seed)
    return {
        "images": rng.random((2, 12, 14, 3), np.float32),
        "features": rng.random((2, 3, 4, 8), np.float32),
        "logits": rng.standard_normal((2, 1), np.float32),
        "taps": (rng.random((2, 6, 7, 1), np.float32), rng.random((2, 6, 7, 1), np.float32)),
    }


PREDICTION, TARGET = random_roles(0), random_roles(1)


def explode(prediction, target):
    raise AssertionError("traced")


def test_total_is_the_weighted_sum_of_the_reported_means():
    weights = {name: 1.5**i for i, name in enumerate(sorted(LOSSES))}
    objective = make_objective({name: {"weight": weight} for name, weight in weights.items()})
    total, terms = jax.jit(objective.__call__)(PREDICTION, TARGET)
    assert total.shape == () and total.dtype == jnp.float32
    assert set(terms) == set(LOSSES)
    for name, (fn, role) in LOSSES.items():
        arguments = [PREDICTION[role]]
        if name not in ("texture", "total_variation"):
            arguments.append(TARGET[role])
        np.testing.assert_allclose(terms[name], fn(*arguments).mean(), rtol=1e-5)
    expected = sum(weights[name] * float(value) for name, value in terms.items())
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_every_loss_can_be_a_term():
    # The discriminator's loss is not a term of the generator's objective; the last three are for
    # features that its networks do not have.
    others = {"contextual_map", "discrimination", "real_logit", "paper_blur", "released_blur"}
    others |= {"dists", "fsp", "lpips"}
    assert set(LOSSES) == set(losses.__all__) - others
    assert all(fn is getattr(losses, name) for name, (fn, _) in LOSSES.items())


def test_options_reach_the_loss():
    objective = make_objective(
        {
            "color": {"weight": 0.5, "kernel": "released"},
            "texture": {"weight": 2, "form": "saturating"},
        }
    )
    total, terms = objective(PREDICTION, TARGET)
    color = losses.color(PREDICTION["images"], TARGET["images"], kernel="released").mean()
    texture = losses.texture(PREDICTION["logits"], form="saturating").mean()
    np.testing.assert_allclose([terms["color"], terms["texture"]], [color, texture], rtol=1e-6)
    np.testing.assert_allclose(total, 0.5 * color + 2 * texture, rtol=1e-6)


def test_term_of_weight_zero_is_neither_traced_nor_reported():
    terms = {"off": Term(0.0, explode, "taps"), "mae": Term(1.0, losses.mae, "images")}
    objective = Objective(terms)
    _, values = jax.jit(objective.__call__)(PREDICTION, TARGET)
    assert set(values) == {"mae"}
    assert not objective.needs("taps") and objective.needs("images")


def test_negative_weight_is_kept():
    objective = Objective({"mae": Term(-2.0, losses.mae, "images")})
    total, values = objective(PREDICTION, TARGET)
    np.testing.assert_allclose(total, -2 * values["mae"], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "role"),
    [("ssim", "images"), ("contextual", "features"), ("texture", "logits"), ("attention", "taps")],
)
def test_only_roles_that_terms_compare_are_needed(name, role):
    objective = make_objective({name: {"weight": 1.0}, "mae": {"weight": 0}})
    needed = {r for r in ("images", "features", "logits", "taps") if objective.needs(r)}
    assert needed == {role}
    total, _ = objective({role: PREDICTION[role]}, {role: TARGET[role]})
    assert np.isfinite(total)


def test_texture_and_total_variation_need_no_target():
    objective = make_objective({"texture": {"weight": 1.0}, "total_variation": {"weight": 1.0}})
    total, _ = objective(PREDICTION, {})
    assert np.isfinite(total)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"sim": {"weight": 1}}, "unknown loss 'sim'.*'ssim'"),
        ({"discrimination": {"weight": 1}}, "unknown loss 'discrimination'"),
        ({"ssim": {"windw": 7, "weight": 1}}, r"ssim has no option \['windw'\].*'window'"),
        ({"ssim": {"windw": 7, "weight": 0}}, "no option"),
        ({"mae": {"weight": 1, "target": 0}}, r"no option \['target'\]"),
        ({"contextual": {"weight": 1, "axis_name": "x"}}, "no option"),
        ({"ssim": {"window": 7}}, "objective.ssim has no weight"),
        ({"ssim": {"weight": 0}}, "no term with a weight"),
        ({}, "no term with a weight"),
    ],
)
def test_mistakes_raise_at_construction(terms, message):
    with pytest.raises(ValueError, match=message):
        make_objective(terms)


def test_axis_name_reaches_losses_with_that_parameter():
    objective = make_objective({"contextual": {"weight": 2.0}, "mae": {"weight": 1.0}})
    mapped = jax.pmap(functools.partial(objective, axis_name="devices"), axis_name="devices")
    shards = [jax.tree.map(lambda x: x[:, None], roles) for roles in (PREDICTION, TARGET)]
    totals, terms = mapped(*shards)
    total, values = objective(PREDICTION, TARGET)
    np.testing.assert_allclose(totals.mean(), total, rtol=1e-6)
    for name, value in values.items():
        np.testing.assert_allclose(terms[name].mean(), value, rtol=1e-6)
