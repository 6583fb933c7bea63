"""The only place that maps over devices."""

import functools
from typing import Any

import flax.jax_utils
import jax

from ppcn_jax.state import TrainStep

AXIS = "devices"


def parallelize(step: TrainStep) -> TrainStep:
    """Map a pure step over all devices of all processes.

    Args:
        step: `step(state, batch, frozen, *, axis_name)`.

    Returns:
        The same for a replicated state and frozen parameters (see `replicate`) and a batch
        `[local_devices, per_device_batch, ...]`; metrics come back stacked by local device, all
        equal. The state is donated: use the returned one.
    """
    return jax.pmap(functools.partial(step, axis_name=AXIS), AXIS, donate_argnums=0)


def replicate(tree: Any) -> Any:
    """Copy a tree of host arrays to every local device, stacked on a new first axis."""
    # The name that pmap gives its results: with another, the second step compiles anew.
    return flax.jax_utils.replicate(tree, axis_name=AXIS)


def to_host(tree: Any) -> Any:
    """One replica of a replicated tree as NumPy arrays."""
    return jax.device_get(flax.jax_utils.unreplicate(tree))
