"""Process many files on all cores, with a progress bar."""

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import rich.console
import rich.progress

T = TypeVar("T")
R = TypeVar("R")

_MANY = 100  # fewer items need no progress bar


def progress(items: Iterable[T], total: int, description: str) -> Iterable[T]:
    """Iterate over items with a progress bar on standard error."""
    return rich.progress.track(
        items,
        description,
        total,
        console=rich.console.Console(stderr=True),
        transient=True,
        disable=total < _MANY,
    )


def parallel(function: Callable[[T], R], items: Sequence[T], description: str) -> list[R]:
    """Apply a function to all items in threads; the first exception is raised.

    The function must be thread-safe and should release the GIL most of the time.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(function, items), len(items), description))
