"""Work through many files on all cores, with a progress bar when it takes a while."""

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import rich.console
import rich.progress

T = TypeVar("T")
R = TypeVar("R")

_MANY = 100  # fewer items are done at once


def progress(items: Iterable[T], total: int, description: str) -> Iterable[T]:
    """Pass items on, showing how many are done on standard error.

    Args:
      items: what to iterate over.
      total: how many there are.
      description: what is being done to them.

    Returns:
      The same items.
    """
    return rich.progress.track(
        items,
        description,
        total,
        console=rich.console.Console(stderr=True),
        transient=True,
        disable=total < _MANY,
    )


def parallel(function: Callable[[T], R], items: Sequence[T], description: str) -> list[R]:
    """Apply a function to all items in threads.

    Args:
      function: thread-safe, and releasing the interpreter's lock for most of its time.
      items: its arguments.
      description: what to call the work in the progress bar.

    Returns:
      The results in the order of the items. The first exception ends the work and is raised.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(function, items), len(items), description))
