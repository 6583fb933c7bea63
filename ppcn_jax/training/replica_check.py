"""Whether all replicas of the train state, on all devices of all processes, are the same."""

import hashlib
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


class Disagreement(RuntimeError):
    """Replicas that should be the same, bit for bit, are not."""


def check_agreement(replicas: Any, step: int) -> None:
    """Compare the replicas of all devices; all processes must call it at the same step.

    Costs a fetch of all local replicas and an exchange of 32 bytes a process.

    Args:
        replicas: the replicated state; see `parallel.replicate`.
        step: updates made so far.

    Raises:
        Disagreement: in every process; names the processes (or devices) and the step.
    """
    if jax.device_count() == 1:
        return
    arrays = jax.tree.leaves(replicas)
    devices = [shard.device for shard in arrays[0].addressable_shards]
    local = [
        _digest([array.addressable_shards[k].data for array in arrays], step)
        for k in range(len(devices))
    ]
    strangers = [
        str(device)
        for device, digest in zip(devices, local, strict=True)
        if (digest != local[0]).any()
    ]
    # A process whose own devices disagree shows zeros, which no digest is.
    shown = np.zeros_like(local[0]) if strangers else local[0]
    everyone = np.reshape(multihost_utils.process_allgather(shown), (-1, shown.size))
    if strangers:
        raise Disagreement(
            f"at step {step} the train states of {', '.join(strangers)} differ from that of "
            f"{devices[0]}{_ADVICE}"
        )
    if (everyone != everyone[0]).any():
        groups: dict[bytes, list[int]] = {}
        for process, digest in enumerate(everyone):
            groups.setdefault(digest.tobytes(), []).append(process)
        # Of two equally large groups, process 0's passes for the others.
        *others, _ = sorted(groups.values(), key=lambda group: (len(group), 0 in group))
        odd = sorted(process for group in others for process in group)
        named = ", ".join(map(str, odd))
        raise Disagreement(
            f"at step {step} the train states of the processes {named} differ from those of the "
            f"other {len(everyone) - len(odd)} of {len(everyone)}{_ADVICE}"
        )


_ADVICE = (
    ": do all see the same workdir, with the same versions, on the same kind of device? If so, "
    "one of them computes wrongly. In the last checkpoint they agreed"
)


def _digest(shards: list[jax.Array], step: int) -> np.ndarray:
    digest = hashlib.sha256(str(step).encode())
    for array in jax.device_get(shards):
        digest.update(np.asarray(array).tobytes())
    return np.frombuffer(digest.digest(), np.uint32)
