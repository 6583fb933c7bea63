"""How fast this machine multiplies large matrices and copies large arrays, by number format."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.models.layers import PRECISIONS

FLOAT32, HALF = "float32", "bfloat16"
FORMATS = tuple(PRECISIONS)  # of products
RUNS = 7  # measurements, after one to compile
CALLS = 8  # products or copies that an accelerator is given at once, to hide dispatch


class Peaks(NamedTuple):
    """Highest speeds measured on this machine."""

    flops: float  # floating-point operations per second, in a product of large matrices
    bandwidth: float  # bytes read and written per second, in a copy of a large array


def measure_peaks(*, side: int, size: int) -> Peaks:
    """Peaks of the processor in float32: the fastest of all runs with NumPy and with JAX.

    It multiplies square matrices of `side` rows, and copies an array of `size` bytes.
    """
    a, b = np.random.default_rng(0).random((2, side, side), np.float32)
    product = np.empty_like(a)
    multiply = jax.jit(functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST))
    multiply_seconds = _fastest(
        functools.partial(np.matmul, a, b, out=product),
        functools.partial(multiply, *jax.device_put((a, b))),
    )
    source = np.ones(size // 4, np.float32)
    destination = np.ones_like(source)  # written once, so that its pages exist
    copy_seconds = _fastest(
        functools.partial(np.copyto, destination, source),
        functools.partial(jax.jit(jnp.copy), jax.device_put(source)),
    )
    return Peaks(2 * side**3 / multiply_seconds, 2 * source.nbytes / copy_seconds)


def device_peaks(format: str, *, side: int, size: int) -> Peaks:
    """Peaks of all accelerators together, in one of `FORMATS`: the first one's times their number.

    It multiplies square matrices of `side` rows, and copies an array of `size` bytes.
    """
    dtype, precision = PRECISIONS[format]
    a, b = jax.random.normal(jax.random.key(0), (2, side, side), dtype or jnp.float32)
    array = jnp.ones(size // 4, jnp.float32)
    product = jax.jit(functools.partial(jnp.matmul, precision=precision))
    multiply = _fastest(functools.partial(product, a, b), calls=CALLS)
    copy = _fastest(functools.partial(jax.jit(jnp.copy), array), calls=CALLS)
    devices = jax.device_count()
    return Peaks(devices * 2 * side**3 / multiply, devices * 2 * array.nbytes / copy)


def highest(*peaks: Peaks) -> Peaks:
    """The best of several measurements of one machine."""
    return Peaks(*map(max, zip(*peaks, strict=True)))


def _fastest(*runs: Callable[[], object], calls: int = 1) -> float:
    """Shortest time of a call in seconds; `calls` of them are dispatched before waiting."""
    times = []
    for _ in range(1 + RUNS):
        for run in runs:
            start = time.perf_counter()
            jax.block_until_ready([run() for _ in range(calls)])
            times.append((time.perf_counter() - start) / calls)
    return min(times)
