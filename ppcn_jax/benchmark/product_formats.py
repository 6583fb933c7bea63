"""Formats of products, and what accelerators reach in each."""

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ppcn_jax.benchmark.floors import Peaks

# Formats of products, and how precise JAX makes those of float32. In the last one, convolutions of
# VGG and discriminator are of bfloat16, and the others what JAX makes them without being asked.
FLOAT32, HALF = "float32", "bfloat16"
FORMATS = {FLOAT32: "float32", "tensorfloat32": "tensorfloat32", HALF: "default"}
# Products or copies that follow one another in a measurement of peaks, and measurements.
CALLS, RUNS = 8, 7


def device_peaks(name: str, *, side: int, size: int) -> Peaks:
    """What all devices together reach, as many times what the first one does.

    Args:
        name: of the format of products.
        side: of the square matrices.
        size: of the array that is copied, bytes.

    Returns:
        The peaks.
    """
    dtype = jnp.bfloat16 if name == HALF else jnp.float32
    a, b = jax.random.normal(jax.random.key(0), (2, side, side), dtype)
    array = jnp.ones(size // 4, jnp.float32)
    with jax.default_matmul_precision(FORMATS[name]):
        multiply = _seconds(functools.partial(jax.jit(jnp.matmul), a, b))
    copy = _seconds(functools.partial(jax.jit(jnp.copy), array))
    devices = jax.device_count()
    return Peaks(devices * 2 * side**3 / multiply, devices * 2 * array.nbytes / copy)


def _seconds(call: Callable[[], jax.Array]) -> float:
    """The least time of a call among several that are waiting, without that of dispatching it."""
    times = []
    for _ in range(1 + RUNS):
        start = time.perf_counter()
        jax.block_until_ready([call() for _ in range(CALLS)])
        times.append((time.perf_counter() - start) / CALLS)
    return min(times[1:])
