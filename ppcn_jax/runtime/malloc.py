"""How the C library gets large blocks of memory from the system, and whether it gives them back."""

import ctypes
import mmap
import sys

# Parameters from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
# Bytes that the process keeps, the largest threshold, and how many of them are in large pages.
_KEPT, _IN_LARGE_PAGES = 2**31 - 1, 3 * 2**29


def keep_freed_memory() -> bool:
    """Let the process keep freed memory for its next allocations.

    XLA on CPU allocates new buffers in every call. By default, glibc maps large ones from the system
    and unmaps them each time, and the first access to every page costs a fault: half the time of a
    student on a photo of 1280x720. Large pages, if the system has them, make faults rare in the
    first accesses too. Call this before threads start, in programs that allocate the same sizes
    repeatedly. The memory stays with the process until it ends, so a library should leave the
    choice to its caller.

    Returns:
        False without effect if the C library is not glibc.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    # One arena, because arenas of other threads map large blocks from the system regardless.
    kept = bool(
        mallopt
        and mallopt(_M_MMAP_MAX, 0)
        and mallopt(_M_ARENA_MAX, 1)
        and mallopt(_M_TRIM_THRESHOLD, _KEPT)
    )
    if kept:
        _use_large_pages(library)
    return kept


def _use_large_pages(library: ctypes.CDLL) -> None:
    """Let the system use large pages for the next allocations, if it has them."""
    library.malloc.restype = ctypes.c_void_p
    block = library.malloc(ctypes.c_size_t(_IN_LARGE_PAGES))  # pages are taken at the first access
    if block:
        start = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
        size = block + _IN_LARGE_PAGES - start
        library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_HUGEPAGE)
        library.free(ctypes.c_void_p(block))
