"""Programs for this process alone: with the fastest convolutions, and never written to disk."""

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax

from ppcn_jax.models import onednn

# Shapes that a function is compiled for before all is let go of. A program for photos has a hundred
# mappings of memory, and under Linux a process may have 65,530: with more, XLA crashes.
_MOST_SHAPES = 100
# JAX writes those programs to its persistent cache that took longer than this to compile.
_SECONDS = "jax_persistent_cache_min_compile_time_secs"
_lock = threading.Lock()
_inside = 0
_seconds = 0.0


class ProcessProgram:
    """A function compiled for each of its shapes, as by `jax.jit` or `jax.pmap`.

    Where oneDNN is usable its convolutions are, and what is compiled is kept by this process alone:
    jaxlib 0.10 takes such a program for another when it writes it to the persistent cache. Inside
    of a transformation, whose program is somebody else's, it is an ordinary one.

    Any number of shapes may come: of many, not all programs are kept.

    Args:
        function: pure.
        transform: what compiles it, given the function.
    """

    def __init__(self, function: Callable, transform: Callable[[Callable], Any] = jax.jit):
        self._function, self._transform = function, transform
        self._begin()
        functools.update_wrapper(self, function)

    def _begin(self) -> None:
        @functools.wraps(self._function)
        def counted(*args):  # once for each shape: when it is traced
            self._shapes += 1
            return self._function(*args)

        # What was compiled goes with the function before, which JAX knows it by.
        self._program, self._shapes = self._transform(counted), 0

    def __call__(self, *args):
        """The function of these arguments."""
        if self._shapes >= _MOST_SHAPES:
            self._begin()
        with _fastest(args):
            return self._program(*args)

    def compiled(self, *args) -> Any:
        """What runs for arguments of these shapes, as of `lower().compile()`."""
        with _fastest(args):
            return self._program.lower(*args).compile()


@contextlib.contextmanager
def _fastest(args: tuple) -> Iterator[None]:
    leaves = jax.tree.leaves(args)
    if not onednn.is_usable() or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        yield
    else:
        with onednn.asked(), _unsaved():
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
