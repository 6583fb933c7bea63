"""The memory that this process may still use."""

import os
import pathlib

_MEMINFO = pathlib.Path("/proc/meminfo")
_STATM = pathlib.Path("/proc/self/statm")
_CGROUP = pathlib.Path("/sys/fs/cgroup")
_share: int | None = None  # bytes that this process may use in all; None for all that are free


def share_memory(processes: int) -> None:
    """Divide the memory that is free now among the processes of a run on this machine.

    All of them should call this before they take much, because each divides what it finds.
    """
    global _share
    _share = None
    available, used = available_bytes(), _used()
    if processes > 1 and available is not None and used is not None:
        _share = used + available // processes


def available_bytes() -> int | None:
    """Free memory of the machine or of the container, whichever is less; None if unknown.

    After `share_memory` it is at most what is left of this process's share.
    """
    known = [free for free in (_machine(), _container()) if free is not None]
    if _share is not None:
        known.append(max(_share - (_used() or 0), 0))
    return min(known, default=None)


def _used() -> int | None:
    """Bytes in RAM of this process; None if unknown."""
    if not _STATM.exists():
        return None
    return int(_STATM.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _machine() -> int | None:
    if not _MEMINFO.exists():
        return None
    lines = (line.split() for line in _MEMINFO.read_text(encoding="utf-8").splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:"), None)


def _container() -> int | None:
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not (limit.exists() and used.exists()) or limit.read_text(encoding="utf-8").strip() == "max":
        return None
    return int(limit.read_text(encoding="utf-8")) - int(used.read_text(encoding="utf-8"))
