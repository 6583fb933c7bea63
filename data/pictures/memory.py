"""How much memory this process may still take."""

import pathlib

_MEMINFO = pathlib.Path("/proc/meminfo")
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """The memory that can be taken without swapping.

    Returns:
      Bytes: what the machine has left, or what the container's limit leaves if that is less;
      None where neither can be read.
    """
    known = [bytes_ for bytes_ in (_machine(), _container()) if bytes_ is not None]
    return min(known, default=None)


def _machine() -> int | None:
    if not _MEMINFO.exists():
        return None
    lines = (line.split() for line in _MEMINFO.read_text().splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:"), None)


def _container() -> int | None:
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not (limit.exists() and used.exists()) or limit.read_text().strip() == "max":
        return None
    return int(limit.read_text()) - int(used.read_text())
