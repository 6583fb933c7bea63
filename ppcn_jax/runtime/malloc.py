"""How the C library handles large blocks of memory that are freed."""

import ctypes
import sys

# Parameters from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Let the process keep freed memory for its next allocations.

    XLA on CPU allocates new buffers in every call. By default, glibc maps large ones from the system
    and unmaps them each time, and the first access to every page costs a fault: half the time of a
    student on a photo of 1280x720. Call this before threads start, in programs that allocate the
    same sizes repeatedly. The memory stays with the process until it ends, so a library should
    leave the choice to its caller.

    Returns:
        False without effect if the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    # One arena, because arenas of other threads map large blocks from the system regardless. Up to
    # 2 GiB are kept, the largest threshold.
    return bool(
        mallopt
        and mallopt(_M_MMAP_MAX, 0)
        and mallopt(_M_ARENA_MAX, 1)
        and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    )
