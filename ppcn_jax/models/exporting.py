"""Whether a network is traced for a program that leaves JAX.

What is fast on a platform differs from platform to platform; a program that leaves is to run on all.
"""

import contextlib
import contextvars
from collections.abc import Iterator

_portable = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Let networks traced inside consist of operations that are alike on all platforms."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def exporting() -> bool:
    """Whether this is inside `portable`."""
    return _portable.get()
