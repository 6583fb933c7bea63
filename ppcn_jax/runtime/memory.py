"""How much memory this process may still take."""

import pathlib

import psutil

# Limit, use and statistics of a container, by the version of Linux's control groups.
_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Bytes that can be taken without swapping, within the limit of the container, if any."""
    available = psutil.virtual_memory().available
    for names in _FILES:
        files = [_CGROUP / name for name in names]
        if all(file.is_file() for file in files):
            limit, used, statistics = (file.read_text().strip() for file in files)
            if limit != "max":  # version 2's word for no limit
                # Cached files count as used, but are dropped when memory is needed.
                counts = dict(line.split() for line in statistics.splitlines())
                left = int(limit) - int(used) + int(counts.get("inactive_file", 0))
                available = min(available, max(left, 0))
    return available
