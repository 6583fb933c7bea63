"""Replicas of the devices of one process; several processes are in tests/faults/test_processes.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.steps.parallel import AXIS, replicate
from ppcn_jax.training.replica_check import Disagreement, check_agreement


@pytest.fixture
def replicas():
    return replicate({"kernel": np.linspace(0, 1, 12, dtype=np.float32), "step": np.int32(3)})


def on_one_device(replicas, device, change):
    def apply(tree):
        here = jax.lax.axis_index(AXIS) == device
        return tree | {"kernel": jnp.where(here, change(tree["kernel"]), tree["kernel"])}

    return jax.pmap(apply, AXIS)(replicas)


def test_equal_replicas_agree(replicas):
    check_agreement(replicas, 3)


@pytest.mark.parametrize("device", [1, 3])
def test_the_device_whose_last_bit_differs_is_named(replicas, device):
    changed = on_one_device(replicas, device, lambda x: jnp.nextafter(x, jnp.float32(2)))
    with pytest.raises(Disagreement, match=rf"at step 3 the train states of \S+{device} differ"):
        check_agreement(changed, 3)


def test_equal_nans_agree(replicas):
    # Bits are compared, not numbers.
    nans = jax.pmap(lambda tree: tree | {"kernel": jnp.full(12, jnp.nan)}, AXIS)(replicas)
    check_agreement(nans, 3)
