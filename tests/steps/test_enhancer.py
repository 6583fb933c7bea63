"""The enhancer's train step: its metrics, that it learns, and that devices do not change it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppcn_jax import losses
from ppcn_jax.metrics import psnr_of_mse
from ppcn_jax.models import Discriminator, Student, Teacher, Vgg, grayscale
from ppcn_jax.steps.augment import image_keys, prepare
from ppcn_jax.steps.enhancer import Networks, make_train_step
from ppcn_jax.steps.objective import LOSSES, make_objective
from ppcn_jax.steps.parallel import parallelize, replicate, to_host
from ppcn_jax.steps.state import init_state, without_guard

SIDE = 32
DEVICES = 4
# Not Adam: some of the discriminator's gradients are zero up to rounding, and Adam would turn them
# into full steps of random sign. These rates move both players' parameters by over 1e-4 per step.
OPTIMIZERS = {
    "generator": optax.sgd(1e-6),
    "discriminator": optax.sgd(2e-3),
}
TERMS = {
    "contextual": {"weight": 40.0},
    "ssim": {"weight": 250.0},
    "texture": {"weight": 50.0},
    "color": {"weight": 1.0},
    "total_variation": {"weight": 2000.0},
    "attention": {"weight": 75.0},
}


def init(module, seed, channels=3):
    images = jnp.zeros((1, SIDE, SIDE, channels))
    return jax.jit(module.init)(jax.random.key(seed), images)["params"]


@pytest.fixture(scope="module")
def make():
    """Builds (step, state, frozen) of a small run with all networks."""
    networks = Networks(Student(), Discriminator(), Vgg(16), Teacher())
    # Larger weights than the initial ones, so that every term has a gradient.
    frozen = {
        "vgg": jax.tree.map(lambda x: 3 * x, init(networks.vgg, 1)),
        "teachers": [jax.tree.map(lambda x: 10 * x, init(networks.teacher, 2))],
    }
    params = {
        "generator": jax.tree.map(lambda x: 10 * x, init(networks.generator, 3)),
        "discriminator": init(networks.discriminator, 4, channels=1),
    }

    def build(terms=TERMS, seed=0, imitation=0.0):
        objective = make_objective(terms)
        names = list(params) if objective.needs("logits") else ["generator"]
        optimizers = {name: OPTIMIZERS[name] for name in names}
        step = make_train_step(
            networks,
            objective,
            optimizers,
            discriminator_loss=losses.discrimination,
            seed=seed,
            imitation=imitation,
        )
        state = init_state({name: params[name] for name in names}, optimizers)
        return step, jax.device_get(state), jax.device_get(frozen)

    return build


def batch(step, size=8):
    rng = np.random.default_rng(step)
    target = rng.integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
    return {"input": target // 2 + 20, "target": target}


@pytest.fixture(scope="module")
def runs(make):
    """Three steps on the global batch under jit, and on four devices under pmap."""
    step, state, frozen = make()
    jitted = jax.jit(step)
    mapped, replicas, everywhere = parallelize(step), replicate(state), replicate(frozen)
    reports = []
    for index in range(3):
        images = batch(index)
        shards = {k: v.reshape(DEVICES, -1, *v.shape[1:]) for k, v in images.items()}
        state, expected = jitted(state, images, frozen)
        replicas, metrics = mapped(replicas, shards, everywhere)
        reports.append((jax.device_get(expected), to_host(metrics)))
    return jax.device_get(state), replicas, reports


@pytest.mark.optimized
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_devices_do_not_change_the_parameters(runs, player):
    expected, replicas, _ = runs
    actual = to_host(replicas).players[player].params
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5),
        actual,
        expected.players[player].params,
    )


@pytest.mark.optimized
def test_replicas_are_bit_equal(runs):
    _, replicas, _ = runs
    for leaf in jax.tree.leaves(jax.device_get(replicas)):
        assert leaf.shape[0] == DEVICES
        for other in leaf[1:]:
            np.testing.assert_array_equal(leaf[0], other)


@pytest.mark.optimized
def test_devices_do_not_change_the_metrics(runs):
    _, _, reports = runs
    for expected, actual in reports:
        assert expected.keys() == actual.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(actual[name], value, rtol=1e-4, err_msg=name)


@pytest.mark.optimized
def test_both_players_move_and_the_step_counts(make, runs):
    _, start, _ = make()
    state, _, _ = runs
    assert state.step == 3
    for name, player in state.players.items():
        moved = jax.tree.map(
            lambda a, b: np.abs(a - b).max(), player.params, start.players[name].params
        )
        assert max(jax.tree.leaves(moved)) > 1e-4, name


@pytest.mark.optimized
def test_metrics_are_the_terms_and_both_players(runs):
    expected = {*TERMS, "total", "psnr", "discriminator_loss", "discriminator_accuracy"}
    for metrics, _ in runs[2]:
        assert without_guard(metrics).keys() == expected
        assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.optimized
def test_total_is_the_weighted_sum(runs):
    for metrics, _ in runs[2]:
        total = sum(TERMS[name]["weight"] * metrics[name] for name in TERMS)
        np.testing.assert_allclose(metrics["total"], total, rtol=1e-5)


def test_without_texture_there_is_no_discriminator(make):
    step, state, frozen = make({"ssim": {"weight": 1.0}})
    state, metrics = jax.jit(step)(state, batch(0), frozen)
    assert state.players.keys() == {"generator"}
    assert without_guard(metrics).keys() == {"ssim", "total", "psnr"}


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_imitation_compares_with_the_mean_of_the_teachers_images(make, share):
    step, state, frozen = make({"mae": {"weight": 1.0}}, imitation=share)
    frozen["teachers"] *= 2
    frozen["teachers"][1] = jax.tree.map(lambda x: -x, frozen["teachers"][0])
    images = batch(0)
    _, metrics = jax.jit(step)(state, images, frozen)
    inputs, targets = prepare(image_keys(0, state.step, 8), images)
    outputs = [Teacher().apply({"params": params}, inputs) for params in frozen["teachers"]]
    reference = (1 - share) * targets + share * (outputs[0] + outputs[1]) / 2
    y = Student().apply({"params": state.players["generator"].params}, inputs)
    np.testing.assert_allclose(metrics["mae"], jnp.abs(y - reference).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        metrics["psnr"], psnr_of_mse(jnp.mean((y - targets) ** 2)), rtol=1e-5
    )


def test_a_relativistic_discriminator_compares_targets_with_enhanced_images(make):
    terms = {"relativistic": {"weight": 1.0, "average": True}}
    step, state, frozen = make(terms)
    new, metrics = jax.jit(step)(state, batch(0), frozen)
    inputs, targets = prepare(image_keys(0, state.step, 8), batch(0))
    y = Student().apply({"params": state.players["generator"].params}, inputs)
    params = {"params": state.players["discriminator"].params}
    fake, real = (Discriminator().apply(params, grayscale(images)) for images in (y, targets))
    for name, pair in (("relativistic", (fake, real)), ("discriminator_loss", (real, fake))):
        expected = losses.relativistic(*pair, average=True).mean()
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["discriminator_accuracy"], (real > fake).mean(), atol=1e-6)
    for name, player in state.players.items():
        moved = jax.tree.map(
            lambda a, b: jnp.abs(a - b).max(), player.params, new.players[name].params
        )
        assert max(jax.tree.leaves(moved)) > 0


def test_both_players_take_means_over_all_devices(make, monkeypatch):
    seen = []

    def record(prediction, target, *, axis_name=None):
        seen.append(axis_name)
        return losses.relativistic(prediction, target, average=True, axis_name=axis_name)

    monkeypatch.setitem(LOSSES, "relativistic", (record, "logits"))
    step, state, frozen = make({"relativistic": {"weight": 1.0}})
    shards = jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), batch(0))
    mapped = jax.vmap(functools.partial(step, axis_name="d"), (None, 0, None), axis_name="d")
    jax.eval_shape(mapped, state, shards, frozen)
    assert seen == ["d", "d"]


def test_attention_maps_of_several_teachers_are_averaged(make):
    step, state, frozen = make({"attention": {"weight": 1.0}})
    _, alone = jax.jit(step)(state, batch(0), frozen)
    other = jax.tree.map(lambda x: -x, frozen["teachers"][0])
    _, together = jax.jit(step)(state, batch(0), {"teachers": [*frozen["teachers"], other]})
    inputs, _ = prepare(image_keys(0, state.step, 8), batch(0))
    _, taps = Student().apply({"params": state.players["generator"].params}, inputs, taps=True)
    maps = [
        Teacher().apply({"params": params}, inputs, taps=True)[1]
        for params in (frozen["teachers"][0], other)
    ]
    mean = [(first + second) / 2 for first, second in zip(*maps, strict=True)]
    np.testing.assert_allclose(
        together["attention"], losses.attention(taps, mean).mean(), rtol=1e-4
    )
    assert abs(together["attention"] - alone["attention"]) > 1e-3


def test_the_loss_falls(make):
    step, state, frozen = make({"ssim": {"weight": 1e4}, "mae": {"weight": 1e5}})
    jitted, totals = jax.jit(step), []
    for _ in range(30):
        state, metrics = jitted(state, batch(0), frozen)
        totals.append(float(metrics["total"]))
    assert np.mean(totals[-5:]) < 0.9 * np.mean(totals[:5])


def test_the_seed_fixes_every_bit(make):
    def two_steps(seed):
        step, state, frozen = make({"ssim": {"weight": 1.0}, "texture": {"weight": 1.0}}, seed)
        jitted = jax.jit(step)
        for index in range(2):
            state, _ = jitted(state, batch(index), frozen)
        return jax.tree.leaves(jax.device_get(state))

    first, second, other = two_steps(0), two_steps(0), two_steps(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_frozen_networks_are_not_in_the_state(make):
    _, state, _ = make()
    assert state.players.keys() == {"generator", "discriminator"}
    size = sum(leaf.size for leaf in jax.tree.leaves(state.players["generator"].params))
    assert size == 2715
