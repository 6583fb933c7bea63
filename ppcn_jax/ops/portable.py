"""A mode for tracing networks that are exported: operations that are alike on all platforms."""

from contextlib import AbstractContextManager

import jax

# A context that is part of JAX's cache keys: a function traced inside is traced again outside.
_portable = jax.make_user_context(False)


def portable() -> AbstractContextManager[None]:
    """Trace networks into operations that run on every platform, instead of the fastest here."""
    return _portable(True)


def exporting() -> bool:
    """Return True inside `portable`."""
    return _portable.value
