"""Audits find devices that compute wrong sums: two devices compute the same and compare the bits.

In an audit, every device computes the gradients of its own images and, by the same program, those of
the next device's images. Both are functions of the state and the images alone, so that their bits are
equal unless a device is faulty.
"""

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ppcn_jax.runtime.errors import FaultyDevice
from ppcn_jax.runtime.exchange import exchange
from ppcn_jax.steps.guarded_step import Gradients
from ppcn_jax.steps.parallel import AXIS, on_each_device

# Without one of these flags, some of XLA's operations on GPUs add in an order that varies.
REPEATABLE = ("--xla_gpu_exclude_nondeterministic_ops=true", "--xla_gpu_deterministic_ops=true")


def obstacle() -> str:
    """Why the devices of this run cannot be audited, as a line of text; "" if they can."""
    if jax.default_backend() == "gpu" and not any(
        flag in os.environ.get("XLA_FLAGS", "") for flag in REPEATABLE
    ):
        return f"no audits: GPUs repeat the bits of a step only with XLA_FLAGS={REPEATABLE[0]}"
    return ""


class Audit:
    """Compares the gradients that two devices compute for the same images.

    Args:
        gradients: of a train step.
    """

    def __init__(self, gradients: Gradients):
        # Without a mapped axis: statistics over the batch are those of one device's images, so that
        # no exchange, whose order of sums may vary, is part of what is compared.
        self._gradients = on_each_device(gradients)
        self._next_images = on_each_device(_from_next)
        self._compare = on_each_device(_differences)

    def __call__(self, replicas: Any, images: Mapping[str, Any], frozen: Any, step: int) -> None:
        """Audit all devices; all processes must call this at the same step.

        Args:
            replicas: a replicated state, see `parallel.replicate`.
            images: a batch, stacked by local device.
            frozen: replicated parameters that the step reads.
            step: number of steps made.

        Raises:
            FaultyDevice: in every process; names the device, its host, the step and a leaf.
        """
        own = self._gradients(replicas, images, frozen)
        again = self._gradients(replicas, self._next_images(images), frozen)
        place, different = self._compare(own, again)
        found = np.asarray(different.addressable_shards[0].data)[0]  # [devices, leaves]
        if not found.any():
            return
        names = _device_names(place)
        suspects = suspected(found.any(axis=1))
        leaves = [jax.tree_util.keystr(path, simple=True, separator="/") for path in _paths(own)]
        wrong = [name for name, differs in zip(leaves, found.any(axis=0), strict=True) if differs]
        more = f" and {len(wrong) - 1} more of {len(leaves)}" if len(wrong) > 1 else ""
        raise FaultyDevice(
            f"at step {step} {' or '.join(names[k] for k in suspects)} computes wrong results: "
            f"another device got other bits in {wrong[0]}{more} from the same images and "
            "parameters. Nothing of this step is saved. Take that device or its machine out of "
            "service; then the same command continues from the last checkpoint."
        )


def suspected(failed: np.ndarray) -> list[int]:
    """Positions of the devices that explain the comparisons that failed.

    Args:
        failed: bool `[devices]`; comparison k is between devices k and k + 1, the last of them
            between the last and the first.

    Returns:
        The one device that is part of all failed comparisons, if there is one; otherwise all that
        are part of any, as with two devices, which both are part of every comparison.
    """
    count = len(failed)
    pairs = [{k, (k + 1) % count} for k in np.flatnonzero(failed).tolist()]
    return sorted(set.intersection(*pairs) or set.union(*pairs))


def _from_next(tree: Any) -> Any:
    """Each device's part of a tree from the next device."""
    count = lax.axis_size(AXIS)
    return lax.ppermute(tree, AXIS, [((k + 1) % count, k) for k in range(count)])


def _differences(own: Any, again: Any) -> tuple[jax.Array, jax.Array]:
    """This device's position, and for every comparison and leaf whether bits differ.

    `again` was computed from the images of the next device. Returns int32, and `[devices, leaves]`.
    """
    pairs = zip(jax.tree.leaves(_from_next(own)), jax.tree.leaves(again), strict=True)
    different = jnp.stack([jnp.any(_bits(a) != _bits(b)) for a, b in pairs])
    return lax.axis_index(AXIS), lax.all_gather(different.astype(jnp.int32), AXIS)


def _bits(x: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(x, f"uint{8 * x.dtype.itemsize}")


def _paths(tree: Any) -> list[Any]:
    """Paths of the leaves of `(gradients, metrics)` without the position in this pair."""
    return [path[1:] for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def _device_names(place: jax.Array) -> dict[int, str]:
    """Names of all devices with their hosts, by position; `place` has those of local devices."""
    host = f"{socket.gethostname()}, process {jax.process_index()}"
    mine = {
        int(np.ravel(shard.data)[0]): f"{shard.device} ({host})"
        for shard in place.addressable_shards
    }
    every: dict[int, str] = {}
    for text in exchange(json.dumps(list(mine.items()))):
        every |= {position: name for position, name in json.loads(text)}
    return every
