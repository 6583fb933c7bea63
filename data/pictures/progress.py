"""Process many files on all cores of this process, with a progress bar."""

import concurrent.futures
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar, cast

import rich.console
import rich.progress

from data.errors import DataError, Share, raise_together

T = TypeVar("T", bound=Hashable)
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
    """Apply a function to all items in threads; see `attempt_all`.

    Raises:
      DataError: those that the function raises, together in one; see `raise_together`.
    """
    results, errors = attempt_all(function, items, description)
    raise_together([errors[item] for item in items if item in errors], len(items))
    return cast(list[R], results)


def check_all(
    function: Callable[[int], object], total: int, description: str, share: Share
) -> None:
    """Call a function for the records that this process checks; see `attempt_all`.

    Raises:
      DataError: those of all processes, together in one; see `Share.raise_together`.
    """
    _, errors = attempt_all(function, share.indices(total), description)
    share.raise_together(errors, total)


def attempt_all(
    function: Callable[[T], R], items: Sequence[T], description: str
) -> tuple[list[R | None], dict[T, DataError]]:
    """Apply a function to all items in threads, and collect the errors.

    Args:
      function: thread-safe; it should release the GIL most of the time.
      items: all different.
      description: of the progress bar.

    Returns:
      The results, None where the function raised a `DataError`, and these errors by item. Any other
      exception is raised at once.
    """
    errors: dict[T, DataError] = {}

    def attempt(item: T) -> R | None:
        try:
            return function(item)
        except DataError as error:
            errors[item] = error
            return None

    with concurrent.futures.ThreadPoolExecutor(_core_count()) as pool:
        return list(progress(pool.map(attempt, items), len(items), description)), errors


def _core_count() -> int | None:
    """How many cores this process may use: schedulers give each process of a machine its own."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
