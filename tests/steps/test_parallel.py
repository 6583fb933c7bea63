"""Mapping over devices: copies, donation, compilation, and calls of several steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ppcn_jax.steps.parallel import (
    AXIS,
    IN_FLIGHT,
    Calls,
    parallelize,
    replicate,
    to_devices,
    to_host,
)
from ppcn_jax.steps.state import mean_over_devices

DEVICES = 4


def step(state, batch, frozen, *, axis_name=None):
    """A train step with one parameter instead of a network."""
    gradient = jnp.mean(batch["input"].astype(jnp.float32)) * frozen["scale"]
    gradient = lax.pmean(gradient, axis_name)
    state = {"step": state["step"] + 1, "weight": state["weight"] - gradient}
    return state, {"gradient": gradient}


@pytest.fixture
def state():
    return {"step": np.int32(0), "weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def batch():
    return {"input": np.arange(DEVICES * 5, dtype=np.uint8).reshape(DEVICES, 5)}


FROZEN = {"scale": np.float32(0.5)}


def test_every_device_gets_a_copy_and_one_comes_back(state):
    replicas = replicate(state)
    assert replicas["weight"].shape == (DEVICES, 2, 3)
    assert {shard.device for shard in replicas["weight"].addressable_shards} == set(jax.devices())
    back = to_host(replicas)
    for name, value in state.items():
        assert isinstance(back[name], np.ndarray)
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)


def test_a_batch_on_the_devices_is_used_where_it_is(state, batch):
    images = to_devices(batch)
    assert {shard.device for shard in images["input"].addressable_shards} == set(jax.devices())
    mapped, frozen = parallelize(step), replicate(FROZEN)
    compiled = mapped.lower(replicate(state), batch, frozen).compile()
    replicas, _ = compiled(replicate(state), images, frozen)
    expected, _ = mapped(replicate(state), batch, frozen)
    np.testing.assert_array_equal(replicas["weight"], expected["weight"])


def test_metrics_and_replicas_are_those_of_the_global_batch(state, batch):
    replicas, metrics = parallelize(step)(replicate(state), batch, replicate(FROZEN))
    # The mean of 0 ... 19, halved.
    np.testing.assert_array_equal(metrics["gradient"], np.full(DEVICES, 4.75, np.float32))
    expected = np.stack([state["weight"] - 4.75] * DEVICES)
    np.testing.assert_array_equal(replicas["weight"], expected)
    assert to_host(replicas)["step"] == 1


def test_only_the_state_is_donated(state, batch):
    mapped, before, frozen = parallelize(step), replicate(state), replicate(FROZEN)
    after, _ = mapped(before, batch, frozen)
    # Read it instead of passing it to the step: JAX 0.10.2 crashes on a deleted argument.
    for leaf in jax.tree.leaves(before):
        with pytest.raises(RuntimeError, match="deleted"):
            np.asarray(leaf)
    _, metrics = mapped(after, batch, frozen)
    assert to_host(metrics)["gradient"] == 4.75


def test_the_step_is_compiled_once(state, batch):
    traced = []

    def counted(state, batch, frozen, *, axis_name=None):
        traced.append(axis_name)
        return step(state, batch, frozen, axis_name=axis_name)

    mapped, replicas, frozen = parallelize(counted), replicate(state), replicate(FROZEN)
    for _ in range(3):
        replicas, _ = mapped(replicas, batch, frozen)
    # To pmap a replicated state must look like the state that it returns, including the axis name in
    # its sharding; otherwise the second step is compiled separately.
    assert traced == [AXIS]


def batches(count):
    return [
        {"input": np.arange(k, k + DEVICES * 5, dtype=np.uint8).reshape(DEVICES, 5)}
        for k in range(count)
    ]


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("lengths", [[6], [4, 1, 1], [2, 3, 1]], ids=str)
def test_a_call_of_several_steps_equals_single_steps(state, scan, lengths):
    single, call, frozen = parallelize(step), Calls(step, scan=scan), replicate(FROZEN)
    expected, replicas, left = replicate(state), replicate(state), batches(6)
    for length in lengths:
        for batch in left[:length]:
            expected, last = single(expected, batch, frozen)
        replicas, metrics = call(replicas, left[:length], frozen)
        np.testing.assert_array_equal(to_host(metrics)["gradient"], to_host(last)["gradient"])
        left = left[length:]
    for name, value in to_host(expected).items():
        np.testing.assert_array_equal(to_host(replicas)[name], value)
    assert to_host(replicas)["step"] == 6


@pytest.mark.parametrize(
    ("scan", "length", "allowed"),
    [
        (False, 1, IN_FLIGHT),
        (False, 5, IN_FLIGHT),
        (True, 1, IN_FLIGHT),
        (True, 4, 2),
        (True, 9, 1),
    ],
)
def test_the_number_of_unfinished_steps_is_limited(state, monkeypatch, scan, length, allowed):
    waited = []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)
    call, replicas, frozen = Calls(step, scan=scan), replicate(state), replicate(FROZEN)
    results = []
    for _ in range(12):
        replicas, metrics = call(replicas, batches(length), frozen)
        results.append(metrics)
    dispatched = 12 if scan else 12 * length
    # The loop waits for the oldest steps, so that the device always has work.
    assert len(waited) == dispatched - allowed
    assert waited[-1]["gradient"] is not results[-1]["gradient"]


def test_a_fetched_state_is_not_changed_by_the_next_step(state, batch):
    mapped, frozen = parallelize(step), replicate(FROZEN)
    replicas, _ = mapped(replicate(state), batch, frozen)
    fetched = to_host(replicas)
    before = {name: value.copy() for name, value in fetched.items()}
    for _ in range(3):
        replicas, _ = mapped(replicas, batch, frozen)
    jax.block_until_ready(replicas)
    for name, value in before.items():
        np.testing.assert_array_equal(fetched[name], value)


@pytest.mark.parametrize("count", [1, 4])
def test_one_device_makes_no_all_reduce(count):
    mean = jax.pmap(lambda x: mean_over_devices(x, AXIS), AXIS, devices=jax.devices()[:count])
    x = np.arange(3.0 * count, dtype=np.float32).reshape(count, 3)
    np.testing.assert_array_equal(mean(x), np.broadcast_to(x.mean(0), x.shape))
    assert ("all-reduce" in mean.lower(x).compile().as_text()) == (count > 1)
