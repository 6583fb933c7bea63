"""Compile a function of arrays and settings as a whole."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function on its first call instead of one operation after another.

    Arrays among the arguments, also inside of tuples and lists, are traced. Numbers, strings and
    NumPy scalars are constants: each of their values compiles again. Inside of `jax.jit` and other
    transformations, the function is traced as if it were not decorated.
    """

    # Inlined, so that a surrounding jit has the same program as without this one.
    @functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
    def call(structure: Any, constants: tuple, arrays: list) -> Any:
        values = iter(arrays)
        leaves = [next(values) if kind is None else value for kind, value in constants]
        args, options = jax.tree.unflatten(structure, leaves)
        return function(*args, **options)

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, options))
        leaves = [x[()] if isinstance(x, np.ndarray) and not x.ndim else x for x in leaves]
        arrays = [x for x in leaves if isinstance(x, jax.Array | np.ndarray)]
        # With their types, because 1, 1.0 and True are equal.
        constants = tuple(
            (None, None) if isinstance(x, jax.Array | np.ndarray) else (type(x), x) for x in leaves
        )
        try:
            hash(constants)
        except TypeError:  # an argument of a wrong type, which the function reports
            return function(*args, **options)
        return call(structure, constants, arrays)

    return wrapper  # type: ignore[return-value]
