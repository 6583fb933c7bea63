"""Checks that the replicas of the train state on all devices of all processes are identical."""

import hashlib
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

_ADVICE = (
    ". Check that all processes use the same workdir, package versions and kind of device; if they "
    "do, one of them computes wrong results. In the last checkpoint they were equal."
)


class Disagreement(RuntimeError):
    """Replicas that should be bit-equal differ."""


def check_agreement(replicas: Any, step: int) -> None:
    """Compare the replicas of all devices; all processes must call this at the same step.

    It fetches all local replicas, and processes exchange 32 bytes each.

    Args:
        replicas: a replicated state, see `parallel.replicate`.
        step: number of steps made.

    Raises:
        Disagreement: in every process; names the devices or processes that differ.
    """
    if jax.device_count() == 1:
        return
    arrays = jax.tree.leaves(replicas)
    devices = [shard.device for shard in arrays[0].addressable_shards]
    digests = [
        _digest([array.addressable_shards[k].data for array in arrays], step)
        for k in range(len(devices))
    ]
    differing = [
        str(device)
        for device, digest in zip(devices, digests, strict=True)
        if (digest != digests[0]).any()
    ]
    # If local replicas differ, send all zeros, which is never a valid digest.
    sent = np.zeros_like(digests[0]) if differing else digests[0]
    received = np.reshape(multihost_utils.process_allgather(sent), (-1, sent.size))
    if differing:
        raise Disagreement(
            f"at step {step} the train states on {', '.join(differing)} differ from that on "
            f"{devices[0]}{_ADVICE}"
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


def _digest(shards: list[jax.Array], step: int) -> np.ndarray:
    digest = hashlib.sha256(str(step).encode())
    for array in jax.device_get(shards):
        digest.update(np.asarray(array).tobytes())
    return np.frombuffer(digest.digest(), np.uint32)
