"""What this process runs on: processor, cores, accelerator, versions of packages, commit."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform
import socket
import subprocess
from typing import Any

PACKAGES = (
    *("ppcn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow"),
    *("libtpu", "onnxruntime", "openvino", "ai-edge-litert", "ncnn", "torch"),
    *("torchmetrics", "piq", "pytorch-msssim", "kornia"),
)
_CPUINFO = pathlib.Path("/proc/cpuinfo")


def describe_machine() -> dict[str, Any]:
    """Everything that a benchmark's numbers depend on, as far as it is known.

    Returns:
        `{"device", "cores", "system", "python", "packages", "commit"}`.
    """
    return {
        "device": device_name(),
        "cores": core_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions(),
        "commit": _commit(),
    }


def versions() -> dict[str, str]:
    """Versions of those of `PACKAGES` that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device_name() -> str:
    """Name of JAX's first device: an accelerator, or the processor with its number of cores."""
    import jax  # here, since OpenVINO asks for the cores without JAX

    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    models = _cpuinfo("model name")
    name = models[0].partition(":")[2].strip() if models else platform.processor()
    return f"{name or platform.machine()}, {core_count()} cores"


def core_count() -> int:
    """How many cores of the processor this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def place() -> str:
    """A name of what processes share that see each other's numbers; "" where it is unknown.

    Machines and containers may have equal host names, so those alone do not say.
    """
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return ""


def processor_digest() -> str:
    """A short name that differs between processors of different models or instruction sets."""
    lines = _cpuinfo("model name", "flags", "Features")
    if not lines:
        return "cpu"
    return hashlib.sha256("\n".join(sorted(set(lines))).encode()).hexdigest()[:12]


def _cpuinfo(*fields: str) -> list[str]:
    """Lines of /proc/cpuinfo that begin with one of `fields`; none where there is no such file."""
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.is_file() else []
    return [line for line in lines if line.startswith(fields)]


def _commit() -> str | None:
    """Commit of the repository that holds this file, with "+" if tracked files have changed."""
    here = pathlib.Path(__file__)
    try:
        if not _git(here.parent, "ls-files", here.name):
            return None  # installed, perhaps into another project's repository
        described = _git(
            here.parent, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"
        )
    except OSError:  # no git
        return None
    return described or None


def _git(folder: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
    ).stdout.strip()
