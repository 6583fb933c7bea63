"""Texts that the processes of a run give each other, and where each process stands among them.

They go through the key-value store of JAX's coordination service, which runs in process 0.
"""

import contextlib
import itertools
import time
from typing import Any

import jax

from ppcn_jax.runtime.machine import place

LONGEST_WAIT = 3600.0  # seconds of one request that waits for a text
_exchanges = itertools.count()


def exchange(text: str) -> list[str]:
    """Give a text to all processes of the run, which all call this; returns those of all by index."""
    if jax.process_count() == 1:
        return [text]
    service, folder = coordination_service(), f"ppcn_jax/exchange/{next(_exchanges)}"
    service.key_value_set(f"{folder}/{jax.process_index()}", text)
    return [wait_for(service, f"{folder}/{index}") for index in range(jax.process_count())]


def write_text(name: str, text: str) -> None:
    """Leave a text for all processes of the run, unless one has left a text of this name."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # there is one; or see `SharedFate`
        coordination_service().key_value_set(f"ppcn_jax/{name}", text)


def read_text(name: str) -> str | None:
    """The text that a process has left, or None; does not wait."""
    found = coordination_service().key_value_dir_get(f"ppcn_jax/{name.rpartition('/')[0]}/")
    return dict(found).get(f"ppcn_jax/{name}")


def layout() -> dict[str, int]:
    """Where this process stands among those of the run, which all call this.

    Returns:
        `{"process_index", "process_count", "processes_here", "local_devices"}`; `processes_here` are
        those on this machine.
    """
    return {
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
        "processes_here": exchange(place()).count(place()),
        "local_devices": jax.local_device_count(),
    }


def coordination_service() -> Any:
    """Return the client of JAX's coordination service, to which JAX itself has no public access."""
    import orbax.checkpoint as ocp

    return ocp.multihost.get_jax_distributed_client()


def wait_for(service: Any, key: str) -> str:
    """Return the text at a key, when there is one; raises JAX's error if the service is gone."""
    while True:
        start = time.monotonic()
        try:
            return service.blocking_key_value_get(key, int(1000 * LONGEST_WAIT))
        except jax.errors.JaxRuntimeError:
            # After the time that it had, the request has found no text. An error before means that
            # the service is gone.
            if time.monotonic() - start < LONGEST_WAIT / 2:
                raise
