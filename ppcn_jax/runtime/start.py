"""What a process of launch.py does before its task."""

import errno
import os
import pathlib
import shutil
import socket

import jax
from absl import logging

from ppcn_jax.runtime.compilation_cache import keep_compiled_programs
from ppcn_jax.runtime.errors import escape_what_cannot_be_printed
from ppcn_jax.runtime.malloc import keep_freed_memory
from ppcn_jax.runtime.processes import end_process, join_processes

_DEVICES = pathlib.Path("/dev")


def start_process(
    coordinator: str | None, count: int | None, index: int | None, *, detect: bool, silence: float
) -> None:
    """Prepare the compilation cache and the memory, join the other processes, and find devices.

    Ends the process, with a line, if the coordinator's port is in use (status `START_AGAIN`) or if
    JAX has no device of the kind that JAX_PLATFORMS demands (status 1). For the arguments see
    `join_processes`.
    """
    escape_what_cannot_be_printed()
    if problem := keep_compiled_programs():
        logging.warning(problem)
    keep_freed_memory()
    if coordinator is not None and index == 0:
        _check_port(coordinator)
    join_processes(coordinator, count, index, detect=detect, silence=silence)
    _check_devices()


def _check_port(coordinator: str) -> None:
    # JAX's coordination service would share the port with the one of another run, and each of them
    # would get processes of the other, or crash.
    port = coordinator.rpartition(":")[2]
    if not (port.isdecimal() and int(port) < 2**16):
        return  # JAX reports it
    families = [socket.AF_INET, *([socket.AF_INET6] if socket.has_dualstack_ipv6() else [])]
    try:
        for family in families:
            socket.create_server(("", int(port)), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            end_process(
                f"--coordinator {coordinator}: another process of this machine uses port {port}. "
                "Start again when it has ended, or name another port in all processes."
            )


def _check_devices() -> None:
    demanded = os.environ.get("JAX_PLATFORMS", "")
    try:
        backend = jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # AssertionError: "cuda" without its packages
        if demanded in ("", "cpu"):
            raise
        reason = " ".join(str(error).split())
        extra = "tpu" if demanded == "tpu" else "cuda13"
        end_process(
            f"JAX_PLATFORMS={demanded}: JAX cannot use such a device{reason and f' ({reason})'}. If "
            f"this machine has one, run pip install 'jax[{extra}]'; otherwise unset JAX_PLATFORMS.",
            status=1,
        )
    if backend == "cpu" and not demanded and _has_nvidia_gpu():
        logging.warning(
            "this machine has an NVIDIA GPU, but JAX runs on the CPU: run pip install "
            "'jax[cuda13]' (or 'jax[cuda12]' for older drivers). JAX_PLATFORMS=cpu selects the CPU"
        )


def _has_nvidia_gpu() -> bool:
    return any(_DEVICES.glob("nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None
