"""Compiled programs for photos of many sizes, a limited number of them at a time."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ppcn_jax.models.definitions import Params

# A program for photos holds about a hundred memory mappings. Linux allows a process 65,530 of them,
# and XLA crashes beyond that.
_MOST_PROGRAMS = 100


class BoundedJit:
    """`jax.jit` that drops all its programs once it has compiled for `_MOST_PROGRAMS` shapes.

    Args:
        function: pure.
        static_argnums: positions of the arguments that are compile-time constants.
    """

    def __init__(self, function: Callable[..., Any], static_argnums: int | Sequence[int] = ()):
        self._function, self._static_argnums = function, static_argnums
        self._jitted: Any = None
        self._traced = 0
        self._lock = threading.Lock()
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        """Call the function, compiled for these shapes."""
        return self._current()(*args)

    def lower(self, *args: Any) -> jax.stages.Lowered:
        """Lower the function for these shapes, as `jax.jit(...).lower`."""
        return self._current().lower(*args)

    def _current(self) -> Any:
        with self._lock:  # threads of several devices share the programs
            if self._jitted is None or self._traced >= _MOST_PROGRAMS:
                # JAX keeps compiled programs for as long as the function object that it jitted.
                self._jitted = jax.jit(self._counting(), static_argnums=self._static_argnums)
                self._traced = 0
            return self._jitted

    def _counting(self) -> Callable[..., Any]:
        @functools.wraps(self._function)
        def counting(*args: Any) -> Any:  # runs once for each shape, when it is traced
            self._traced += 1
            return self._function(*args)

        return counting


@functools.partial(BoundedJit, static_argnums=0)
def apply_network(module: nn.Module, params: Params, image: jax.Array) -> Any:
    """A network's output for one image, compiled once for each network and image size.

    The image is uint8 `[H, W, 3]` or float in [0, 1]; returns float32 `[H, W, 3]`, unclipped.
    """
    if image.dtype == jnp.uint8:
        image = image.astype(jnp.float32) / 255
    output: Any = module.apply({"params": params}, image[None])
    return output[0]
