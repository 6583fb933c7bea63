"""Programs for this process alone: with the fastest convolutions, and never written to disk."""

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from ppcn_jax.ops import onednn

# Shapes that a function is compiled for before all is let go of. A program for photos has a hundred
# mappings of memory, and under Linux a process may have 65,530: with more, XLA crashes.
_MOST_SHAPES = 100
# JAX writes those programs to its persistent cache that took longer than this to compile.
_SECONDS = "jax_persistent_cache_min_compile_time_secs"
# LLVM at its most writes out loops over few channels, and makes no vectors of what it wrote out.
_OPTIONS = {"xla_backend_optimization_level": 2}
_lock = threading.Lock()
_inside = 0
_seconds = 0.0


class ProcessProgram:
    """A function compiled for each of its shapes, as by `jax.jit`.

    Where oneDNN is usable its convolutions are, and what is compiled is kept by this process alone:
    jaxlib 0.10 takes such a program for another when it writes it to the persistent cache. Inside
    of another program, which is somebody else's, it is an ordinary one.

    Any number of shapes may come: of many, not all programs are kept.

    Args:
        function: pure.
        transform: what compiles it, given the function, and `compiler_options` as `jax.jit`.
    """

    def __init__(self, function: Callable, transform: Callable[..., Any] = jax.jit):
        self._function, self._transform = function, transform
        self._program: Any = None
        self._shapes = 0
        functools.update_wrapper(self, function)

    def __call__(self, *args):
        """The function of these arguments."""
        if _is_inside_another(args):
            return self._transform(self._function)(*args)
        with _fastest():
            return self._current()(*args)

    def compiled(self, *args) -> Any:
        """What runs for arguments of these shapes, as of `lower().compile()`."""
        with _fastest():
            return self._current().lower(*args).compile()

    def _current(self) -> Any:
        if not self._program or self._shapes >= _MOST_SHAPES:
            # What was compiled goes with the function before, which JAX knows it by.
            options = _OPTIONS if onednn.is_usable() else None
            self._program = self._transform(self._counted(), compiler_options=options)
            self._shapes = 0
        return self._program

    def _counted(self) -> Callable:
        @functools.wraps(self._function)
        def counted(*args):  # once for each shape: when it is traced
            self._shapes += 1
            return self._function(*args)

        return counted


def _is_inside_another(args: tuple) -> bool:
    # There, even a constant is traced.
    values = [*jax.tree.leaves(args), jnp.zeros(())]
    return any(isinstance(value, jax.core.Tracer) for value in values)


@contextlib.contextmanager
def _fastest() -> Iterator[None]:
    if onednn.is_usable():
        with onednn.asked(), _unsaved():
            yield
    else:
        yield


@contextlib.contextmanager
def _unsaved() -> Iterator[None]:
    """Let nothing that is compiled inside, nor meanwhile by other threads, be written to disk."""
    global _inside, _seconds
    with _lock:
        if not _inside:
            _seconds = getattr(jax.config, _SECONDS)
            jax.config.update(_SECONDS, math.inf)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                jax.config.update(_SECONDS, _seconds)
