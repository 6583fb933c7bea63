"""How much memory this process may still take."""

import pathlib
from collections.abc import Iterator

import psutil

from ppcn_jax.runtime.errors import InputError

# Limit, use and statistics of a container, in both versions of Linux's control groups.
_FILES = {
    2: ("memory.max", "memory.current", "memory.stat"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
}
_CGROUP = pathlib.Path("/sys/fs/cgroup")
_OWN_GROUPS = pathlib.Path("/proc/self/cgroup")


def available_bytes() -> int:
    """Bytes that can be taken without swapping, within the limits of containers, if any."""
    available = psutil.virtual_memory().available
    for folder, version in _groups():
        files = [folder / name for name in _FILES[version]]
        if all(file.is_file() for file in files):
            limit, used, statistics = (file.read_text(encoding="utf-8").strip() for file in files)
            if limit != "max":  # version 2's word for no limit
                # Cached files count as used, but are dropped when memory is needed.
                counts = dict(line.split() for line in statistics.splitlines())
                left = int(limit) - int(used) + int(counts.get("inactive_file", 0))
                available = min(available, max(left, 0))
    return available


def check_available(needed: int) -> None:
    """Raise InputError if fewer bytes are available than are certainly needed."""
    available = available_bytes()
    if needed > available:
        raise InputError(
            f"needs more than {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are "
            "available"
        )


def _groups() -> Iterator[tuple[pathlib.Path, int]]:
    """Folders of the control groups of this process, up to the root, and their version.

    Inside of a container, its own group usually is the root. The path that the kernel names is
    otherwise that of a job of a batch system or a service, each of whose parents has a limit too.
    """
    paths = {2: "/", 1: "/"}
    if _OWN_GROUPS.is_file():
        for line in _OWN_GROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                paths[2] = path
            elif "memory" in controllers.split(","):
                paths[1] = path
    for version, root in ((2, _CGROUP), (1, _CGROUP / "memory")):
        own = pathlib.PurePosixPath(paths[version].replace("/..", ""))
        for group in (own, *own.parents):
            yield root / group.relative_to("/"), version
