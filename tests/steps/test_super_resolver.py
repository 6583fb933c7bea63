"""The super-resolver's train step: the released code's loss, clipping, independence of devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import super_resolution
from ppcn_jax.models import SuperResolver
from ppcn_jax.steps.objective import make_objective
from ppcn_jax.steps.parallel import parallelize, replicate, to_host
from ppcn_jax.steps.state import init_state, without_guard
from ppcn_jax.steps.super_resolver import make_train_step
from tests.references import assert_gradients_close

SIDE = 16
DEVICES = 4
TERMS = {"mae": {"weight": 255.0}, "ssim": {"weight": 25.0}}
# Not Adam: it would turn gradients that are zero up to rounding into full steps of random sign.
# This rate moves parameters by over 1e-3 in three steps.
RATE = 1e-2


@functools.cache
def initial_params():
    images = jnp.zeros((1, SIDE, SIDE, 3))
    return jax.device_get(jax.jit(SuperResolver().init)(jax.random.key(0), images)["params"])


def build(clip=False, seed=0, optimizer=None):
    """Build (step, state) of a run."""
    optimizer = optimizer or optax.sgd(RATE)
    step = make_train_step(SuperResolver(), make_objective(TERMS), optimizer, clip=clip, seed=seed)
    state = init_state({"generator": initial_params()}, {"generator": optimizer})
    return step, jax.device_get(state)


def batch(step, size=8):
    target = np.random.default_rng(step).integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
    return {"input": target // 2 + 60, "target": target}


@pytest.fixture(scope="module")
def runs():
    """Three steps on the global batch under jit, and on four devices under pmap."""
    step, state = build()
    jitted, mapped, replicas = jax.jit(step), parallelize(step), replicate(state)
    reports = []
    for index in range(3):
        images = batch(index)
        shards = {k: v.reshape(DEVICES, -1, *v.shape[1:]) for k, v in images.items()}
        state, expected = jitted(state, images, {})
        replicas, metrics = mapped(replicas, shards, {})
        reports.append((jax.device_get(expected), to_host(metrics)))
    return jax.device_get(state), replicas, reports


def largest_difference(params, others):
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, others)
    return max(jax.tree.leaves(differences))


def test_devices_do_not_change_the_parameters(runs):
    state, replicas, _ = runs
    params = state.players["generator"].params
    assert largest_difference(to_host(replicas).players["generator"].params, params) < 1e-5
    assert largest_difference(initial_params(), params) > 1e-3
    assert state.step == to_host(replicas).step == 3


def test_replicas_are_bit_equal(runs):
    for leaf in jax.tree.leaves(jax.device_get(runs[1])):
        assert leaf.shape[0] == DEVICES
        for other in leaf[1:]:
            np.testing.assert_array_equal(leaf[0], other)


def test_devices_do_not_change_the_metrics(runs):
    for expected, actual in runs[2]:
        assert without_guard(actual).keys() == {*TERMS, "total", "psnr"}
        assert expected.keys() == actual.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(actual[name], value, rtol=1e-4, err_msg=name)


def test_total_is_the_weighted_sum(runs):
    for metrics, _ in runs[2]:
        total = 255 * metrics["mae"] + 25 * metrics["ssim"]
        np.testing.assert_allclose(metrics["total"], total, rtol=1e-5)


def test_the_loss_falls():
    step, state = build(optimizer=optax.adam(1e-3))
    jitted, totals = jax.jit(step), []
    for _ in range(30):
        state, metrics = jitted(state, batch(0), {})
        totals.append(float(metrics["total"]))
    assert np.mean(totals[-5:]) < 0.9 * np.mean(totals[:5])


def test_the_seed_fixes_every_bit():
    def two_steps(seed):
        step, state = build(seed=seed)
        jitted = jax.jit(step)
        for index in range(2):
            state, _ = jitted(state, batch(index), {})
        return jax.tree.leaves(jax.device_get(state))

    first, second, other = two_steps(0), two_steps(0), two_steps(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_clipped_pixels_have_no_gradient():
    white = np.full((4, SIDE, SIDE, 3), 255, np.uint8)
    batch = {"input": white, "target": white - np.uint8(5)}
    moved = {}
    for clip in (False, True):
        step, state = build(clip=clip)
        # A large bias of the last layer makes all output exceed 1.
        params = jax.tree.map(np.copy, state.players["generator"].params)
        params["pixels"]["bias"] += 100
        state.players["generator"] = state.players["generator"].replace(params=params)
        after, metrics = jax.jit(step)(state, batch, {})
        moved[clip] = largest_difference(after.players["generator"].params, params)
        # Clipped to white, the error is 5/255.
        assert (float(metrics["mae"]) == pytest.approx(5 / 255, rel=1e-3)) == clip
    assert moved[True] == 0 < moved[False]


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_objective_equals_released_code(goldens, variant):
    golden = goldens("losses")
    target, enlarged = (golden[f"sr_{name}_u8"] / np.float32(255) for name in ("hr", "sr"))
    objective = make_objective(super_resolution.get_config(variant).objective.to_dict())

    def total(images):
        return objective({"images": images}, {"images": target})

    (value, terms), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(enlarged)
    np.testing.assert_allclose(value, golden["sr_total"], rtol=1e-4)
    np.testing.assert_allclose(255 * terms["mae"], golden["sr_mae"], rtol=1e-4)
    np.testing.assert_allclose(terms["ssim"], golden["sr_ssim_loss"], rtol=1e-4)
    # The golden gradient is for images in [0, 255].
    assert_gradients_close(gradient / 255, golden["sr_grad_total"])
