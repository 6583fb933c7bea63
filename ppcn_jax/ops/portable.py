"""Whether a network is traced for a program that leaves JAX.

What is fast on a platform differs from platform to platform; a program that leaves is to run on all.
"""

from contextlib import AbstractContextManager

import jax

# Of JAX's own kind: what was traced inside is not taken for the same function outside.
_portable = jax.make_user_context(False)


def portable() -> AbstractContextManager[None]:
    """Let networks traced inside consist of operations that are alike on all platforms."""
    return _portable(True)


def exporting() -> bool:
    """Whether this is inside `portable`."""
    return _portable.value
