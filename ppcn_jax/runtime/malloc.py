"""What the C library does with large blocks of memory that are freed."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Let the process keep freed memory for its next allocation, from now on.

    XLA on CPU takes fresh buffers at every call. glibc gets large ones from the system and returns
    them each time, and every page that is touched for the first time costs a fault: half the time
    of a student on a photo of 1280x720. For programs that allocate the same again and again, and
    before they have threads; the memory is the process's until it ends, so that a library should
    leave the choice to its caller.

    Returns:
        Whether it is so; not where the C library is another than glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    # Threads with heaps of their own would get what is large from the system all the same. Up to
    # 2 GiB stay, the most that the threshold can say.
    return bool(
        mallopt
        and mallopt(_M_MMAP_MAX, 0)
        and mallopt(_M_ARENA_MAX, 1)
        and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    )
