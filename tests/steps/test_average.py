"""The moving average of a network's parameters (`train.ema`)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppcn_jax.steps.parallel import Calls, parallelize, replicate, to_host
from ppcn_jax.steps.state import (
    SKIPPED,
    average_weight,
    from_trees,
    guarded_update,
    init_state,
    mean_over_devices,
    to_trees,
)
from ppcn_jax.training.replica_check import Disagreement, ReplicaCheck
from tests.states import assert_same_bits

DEVICES, STEPS, DECAY = 4, 6, 0.75
OPTIMIZERS = {"generator": optax.sgd(0.5), "discriminator": optax.sgd(0.5)}


def toy_step(state, batch, frozen, *, axis_name=None):
    """A train step of two players with one parameter each, whose gradient is the batch's mean."""
    gradient, total = mean_over_devices((jnp.mean(batch["input"]), jnp.zeros(())), axis_name)
    gradients = {name: {"w": jnp.full(3, gradient)} for name in state.players}
    metrics = {"total": total}
    return guarded_update(state, gradients, OPTIMIZERS, metrics, total_limit=jnp.inf, ema=DECAY)


def toy_state():
    params = {name: {"w": jnp.arange(3.0)} for name in OPTIMIZERS}
    return jax.device_get(init_state(params, OPTIMIZERS, averaged=["generator"]))


def toy_batches():
    values = np.random.default_rng(0).uniform(-1, 1, (STEPS, DEVICES, 2)).astype(np.float32)
    return [{"input": batch} for batch in values]


def test_weights_are_those_of_the_formula():
    # 1 - min(0.9, (1 + step) / (10 + step)): 9/11, 9/12, ... until it is 0.1 at step 80.
    weights = [average_weight(0.9, jnp.int32(step)) for step in (1, 2, 10, 79, 80, 81, 10**9)]
    np.testing.assert_allclose(weights, [9 / 11, 9 / 12, 9 / 20, 9 / 89, 0.1, 0.1, 0.1], rtol=1e-6)
    assert {weight.dtype for weight in weights} == {jnp.dtype("float32")}


def test_the_average_of_a_hand_computed_run():
    state, step = toy_state(), jax.jit(toy_step)
    # A gradient of 1 moves the parameters by -0.5 in each step.
    for _ in range(3):
        state, _ = step(state, {"input": jnp.ones(2)}, {})
    start = np.arange(3.0)
    first = start + 9 / 11 * -0.5
    second = first + 9 / 12 * (start - 1 - first)
    third = second + 9 / 13 * (start - 1.5 - second)
    player = state.players["generator"]
    np.testing.assert_allclose(player.params["w"], start - 1.5, rtol=1e-6)
    np.testing.assert_allclose(player.average["w"], third, rtol=1e-6)
    assert player.result is player.average
    other = state.players["discriminator"]
    assert other.average is None and other.result is other.params


def test_a_skipped_update_leaves_the_average():
    state, step = toy_state(), jax.jit(toy_step)
    before, _ = step(state, {"input": jnp.ones(2)}, {})
    after, metrics = step(before, {"input": jnp.full(2, jnp.nan)}, {})
    assert metrics[SKIPPED] == 1 and after.step == 2
    assert_same_bits(after.players, before.players)


@pytest.mark.parametrize(("scan", "length"), [(False, 1), (False, 3), (True, 1), (True, 3)])
def test_replicas_and_steps_per_call_have_the_same_average(scan, length):
    expected, mapped = replicate(toy_state()), parallelize(toy_step)
    for batch in toy_batches():
        expected, _ = mapped(expected, batch, replicate({}))
    call, state = Calls(toy_step, scan=scan), replicate(toy_state())
    for first in range(0, STEPS, length):
        state, _ = call(state, toy_batches()[first : first + length], replicate({}))
    ReplicaCheck()(state, STEPS)
    assert_same_bits(to_host(state), to_host(expected))


def test_several_devices_average_as_one_does():
    replicas, mapped = replicate(toy_state()), parallelize(toy_step)
    state, step = toy_state(), jax.jit(toy_step)
    for batch in toy_batches():
        replicas, _ = mapped(replicas, batch, replicate({}))
        state, _ = step(state, batch, {})
    average = to_host(replicas).players["generator"].average
    np.testing.assert_allclose(average["w"], state.players["generator"].average["w"], rtol=1e-6)


def test_a_replica_with_another_average_is_found():
    replicas = replicate(toy_state())

    def change(state):
        generator = state.players["generator"]
        changed = {"w": generator.average["w"] + (jax.lax.axis_index("devices") == 2)}
        players = {**state.players, "generator": generator.replace(average=changed)}
        return state.replace(players=players)

    with pytest.raises(Disagreement, match="at step 0 the train states on"):
        ReplicaCheck()(jax.pmap(change, "devices")(replicas), 0)


def test_the_average_is_a_tree_of_its_own():
    state = toy_state()
    trees = to_trees(state)
    assert trees.keys() == {
        "discriminator",
        "discriminator_optimizer",
        "generator",
        "generator_average",
        "generator_optimizer",
    }
    assert_same_bits(from_trees(0, trees).players, state.players)
    without = init_state({"generator": {"w": jnp.zeros(3)}}, {"generator": OPTIMIZERS["generator"]})
    assert to_trees(without).keys() == {"generator", "generator_optimizer"}


def test_the_average_starts_as_a_copy():
    # A donated state must not hold the same array twice.
    params = {"generator": {"w": jnp.arange(3.0)}}
    state = init_state(params, {"generator": OPTIMIZERS["generator"]}, averaged=["generator"])
    step = jax.jit(toy_step, donate_argnums=0)
    state, _ = step(jax.tree.map(jnp.asarray, state), {"input": jnp.ones(2)}, {})
    assert state.step == 1
