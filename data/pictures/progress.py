"""Process many files on all cores, with a progress bar."""

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

import rich.console
import rich.progress

from data.errors import DataError, raise_together

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
    """Apply a function to all items in threads.

    The function must be thread-safe and should release the GIL most of the time.

    Raises:
      DataError: those that the function raises, together in one; see `raise_together`. Any other
        exception is raised at once.
    """

    errors: dict[int, DataError] = {}

    def attempt(index: int) -> R | None:
        try:
            return function(items[index])
        except DataError as error:
            errors[index] = error
            return None

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        indices = range(len(items))
        results = list(progress(pool.map(attempt, indices), len(items), description))
    raise_together([errors[index] for index in sorted(errors)], len(items))
    return cast(list[R], results)
