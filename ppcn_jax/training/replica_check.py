"""Checks that the replicas of the train state on all devices of all processes are identical."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils

from ppcn_jax.steps.parallel import on_each_device

_NO_TIMES = np.zeros(0, np.float32)
# Of the two words of a hash; any two numbers that are far from each other would do.
_SEEDS = (np.uint32(0x9E3779B1), np.uint32(0x3C6EF362))

_ADVICE = (
    ". Check that all processes use the same workdir, package versions and kind of device; if they "
    "do, one of them computes wrong results. In the last checkpoint they were equal."
)


class Disagreement(RuntimeError):
    """Replicas that should be bit-equal differ."""


class ReplicaCheck:
    """Compares the replicas of all devices by a hash that each device computes of its own.

    A flipped bit always changes the hash (64 bits); other differences do with overwhelming probability.
    """

    def __init__(self) -> None:
        self._digest = on_each_device(digest)

    def __call__(self, replicas: Any, step: int, times: np.ndarray = _NO_TIMES) -> np.ndarray:
        """Check; all processes must call this at the same step.

        Processes exchange the hash, the step and `times`: a few numbers.

        Args:
            replicas: a replicated state, see `parallel.replicate`.
            step: number of steps made.
            times: float32 `[K]` of this process.

        Returns:
            float32 `[processes, K]`, the times of all.

        Raises:
            Disagreement: in every process; names the devices or processes that differ.
        """
        if jax.device_count() == 1:
            return times[np.newaxis]
        shards = self._digest(replicas).addressable_shards
        found = [(shard.device, np.ravel(shard.data)) for shard in shards]
        return _compare(found, step, times)


def digest(tree: Any) -> jax.Array:
    """A hash of all bits of a tree, uint32 `[2]`, the same for the same bits on every device.

    It is a sum over all values of a mixed word of value and position, modulo 2^32: integers have no
    rounding, so that the order of the sum has no effect.
    """
    # In one piece, because a program that hashes leaf by leaf compiles for as long as a small step.
    words = jnp.concatenate([_words(leaf) for leaf in jax.tree.leaves(tree)])
    position = lax.iota(jnp.uint32, words.size)
    lanes = [_mix(words ^ _mix(position + seed)) for seed in _SEEDS]
    return jnp.stack([jnp.sum(lane, dtype=jnp.uint32) for lane in lanes])


def _words(leaf: jax.Array) -> jax.Array:
    bits = lax.bitcast_convert_type(leaf, f"uint{8 * leaf.dtype.itemsize}")
    return jnp.ravel(bits).astype(jnp.uint32)


def _mix(x: jax.Array) -> jax.Array:
    """A bijection of uint32 in which every bit of the result depends on all bits.

    Reference:
        Appleby, MurmurHash3, the 32-bit finalizer.
    """
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * np.uint32(factor)
    return x ^ (x >> 16)


def _compare(
    found: Sequence[tuple[jax.Device, np.ndarray]], step: int, times: np.ndarray
) -> np.ndarray:
    (first, expected), *others = found
    differing = [str(device) for device, own in others if (own != expected).any()]
    # A process whose replicas differ says so by a 0 in the first place.
    head = np.array([not differing, step, *expected], np.uint32)
    sent = np.concatenate([head, times.view(np.uint32)])
    everything = np.reshape(multihost_utils.process_allgather(sent), (-1, sent.size))
    received = everything[:, : head.size]
    if differing:
        raise Disagreement(
            f"at step {step} the train states on {', '.join(differing)} differ from that on "
            f"{first}{_ADVICE}"
        )
    if (received != received[0]).any():
        groups: dict[bytes, list[int]] = {}
        for process, digest in enumerate(received):
            groups.setdefault(digest.tobytes(), []).append(process)
        # On a tie, the group with process 0 counts as the majority.
        *minorities, _ = sorted(groups.values(), key=lambda group: (len(group), 0 in group))
        processes = sorted(process for group in minorities for process in group)
        raise Disagreement(
            f"at step {step} the train states of the processes {', '.join(map(str, processes))} "
            f"differ from those of the other {len(received) - len(processes)} of {len(received)}"
            f"{_ADVICE}"
        )
    return np.ascontiguousarray(everything[:, head.size :]).view(np.float32)
