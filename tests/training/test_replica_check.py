"""Replicas on the devices of one process; for several see tests/faults/test_processes.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.steps.parallel import AXIS, on_each_device, replicate
from ppcn_jax.training.replica_check import Disagreement, ReplicaCheck, digest


@pytest.fixture
def replicas():
    return replicate({"kernel": np.linspace(0, 1, 12, dtype=np.float32), "step": np.int32(3)})


def change_on(replicas, device, change):
    def apply(tree):
        here = jax.lax.axis_index(AXIS) == device
        return tree | {"kernel": jnp.where(here, change(tree["kernel"]), tree["kernel"])}

    return on_each_device(apply)(replicas)


def test_equal_replicas_agree(replicas):
    ReplicaCheck()(replicas, 3)


@pytest.mark.parametrize("device", [1, 3])
def test_a_device_is_named_if_one_bit_differs(replicas, device):
    changed = change_on(replicas, device, lambda x: jnp.nextafter(x, jnp.float32(2)))
    with pytest.raises(Disagreement, match=rf"at step 3 the train states on \S+{device} differ"):
        ReplicaCheck()(changed, 3)


def test_equal_nans_agree(replicas):
    # The comparison is of bits, not of numbers.
    nans = on_each_device(lambda tree: tree | {"kernel": jnp.full(12, jnp.nan)})(replicas)
    ReplicaCheck()(nans, 3)


def test_every_flipped_bit_and_every_exchange_of_values_changes_the_hash():
    digest_of = jax.jit(digest)
    values = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    tree = {"a": values, "b": np.arange(4, dtype=np.int32), "c": np.zeros((2, 3), np.uint8)}
    seen = {bytes(np.asarray(digest_of(tree)))}
    for bit in range(32):
        flipped = values.copy()
        flipped.view(np.uint32)[bit] ^= np.uint32(1 << bit)
        seen.add(bytes(np.asarray(digest_of(tree | {"a": flipped}))))
    seen.add(bytes(np.asarray(digest_of(tree | {"a": values[::-1].copy()}))))
    seen.add(bytes(np.asarray(digest_of(tree | {"b": np.array([1, 0, 2, 3], np.int32)}))))
    seen.add(bytes(np.asarray(digest_of(tree | {"a": -0.0 * values}))))
    seen.add(bytes(np.asarray(digest_of(tree | {"a": 0.0 * np.abs(values)}))))
    assert len(seen) == 1 + 32 + 4
    assert bytes(np.asarray(digest_of({name: tree[name].copy() for name in tree}))) in seen


def test_the_times_of_all_processes_come_back(replicas):
    times = np.array([0.25, 3.0], np.float32)
    np.testing.assert_array_equal(ReplicaCheck()(replicas, 3, times), times[np.newaxis])
