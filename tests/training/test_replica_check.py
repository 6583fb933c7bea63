"""Replicas on the devices of one process; for several see tests/faults/test_processes.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.steps.parallel import AXIS, replicate
from ppcn_jax.training.replica_check import Disagreement, check_agreement


@pytest.fixture
def replicas():
    return replicate({"kernel": np.linspace(0, 1, 12, dtype=np.float32), "step": np.int32(3)})


def change_on(replicas, device, change):
    def apply(tree):
        here = jax.lax.axis_index(AXIS) == device
        return tree | {"kernel": jnp.where(here, change(tree["kernel"]), tree["kernel"])}

    return jax.pmap(apply, AXIS)(replicas)


def test_equal_replicas_agree(replicas):
    check_agreement(replicas, 3)


@pytest.mark.parametrize("device", [1, 3])
def test_a_device_is_named_if_one_bit_differs(replicas, device):
    changed = change_on(replicas, device, lambda x: jnp.nextafter(x, jnp.float32(2)))
    with pytest.raises(Disagreement, match=rf"at step 3 the train states on \S+{device} differ"):
        check_agreement(changed, 3)


def test_equal_nans_agree(replicas):
    # The comparison is of bits, not of numbers.
    nans = jax.pmap(lambda tree: tree | {"kernel": jnp.full(12, jnp.nan)}, AXIS)(replicas)
    check_agreement(nans, 3)
