"""The least time something can take on this machine: its work over the machine's peaks."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.models.layers import Params

# Sides of the matrices that are multiplied, and bytes of the array that is copied.
MATRIX_SIDE = 3072
COPY_BYTES = 2**29
RUNS = 7


class Peaks(NamedTuple):
    """What the machine was seen to reach.

    Attributes:
        flops: floating-point operations per second, of a product of large float32 matrices.
        bandwidth: bytes read and written per second, of a copy of a large array.
    """

    flops: float
    bandwidth: float


class Work(NamedTuple):
    """What a task cannot avoid.

    Attributes:
        operations: floating-point operations, two for each product that is added.
        bytes: read and written at least: inputs, results and parameters, each once.
    """

    operations: int
    bytes: int


def least_seconds(work: Work, peaks: Peaks) -> float:
    """The least time for some work: the longer of its two parts, which can overlap.

    Args:
        work: what must be done.
        peaks: of the machine.

    Returns:
        Seconds.
    """
    return max(work.operations / peaks.flops, work.bytes / peaks.bandwidth)


def measure_peaks(*, side: int = MATRIX_SIDE, size: int = COPY_BYTES) -> Peaks:
    """Multiply and copy, by NumPy and by JAX; the fastest run of either counts.

    Args:
        side: of the square matrices.
        size: of the array that is copied, bytes.

    Returns:
        The peaks.
    """
    rng = np.random.default_rng(0)
    a, b = rng.random((2, side, side), np.float32)
    c = np.empty_like(a)
    on_device = jax.device_put((a, b))
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST))
    multiply = _fastest(
        lambda: np.matmul(a, b, out=c), lambda: product(*on_device).block_until_ready()
    )
    source = np.ones(size // 4, np.float32)
    destination = np.ones_like(source)  # written once, so that its pages are there
    array = jax.device_put(source)
    copied = jax.jit(jnp.copy)
    copy = _fastest(
        lambda: np.copyto(destination, source), lambda: copied(array).block_until_ready()
    )
    return Peaks(2 * side**3 / multiply, 2 * source.nbytes / copy)


def highest(*peaks: Peaks) -> Peaks:
    """The best of several measurements of one machine."""
    return Peaks(*map(max, zip(*peaks, strict=True)))


def _fastest(*runs: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        for run in runs:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return min(times)


def layer_results(module: nn.Module, params: Params, images: Any) -> dict[str, Any]:
    """Shapes of what a network's convolutions and dense layers compute.

    Args:
        module: the network.
        params: its parameters, arrays or shapes.
        images: what it is called with, an array or a shape.

    Returns:
        By the names of the layers.
    """

    def results(params, images):
        _, state = module.apply(
            {"params": params}, images, capture_intermediates=True, mutable=["intermediates"]
        )
        return state["intermediates"]

    shapes = jax.eval_shape(results, params, images)
    # Before a norm, the result comes with its moments.
    return {
        name: jax.tree.leaves(shapes[name]["__call__"])[0]
        for name, layer in params.items()
        if isinstance(layer, dict) and "kernel" in layer
    }


def layer_operations(module: nn.Module, params: Params, images: Any) -> dict[str, int]:
    """Floating-point operations of a network's convolutions and dense layers, forward.

    Counted from the sizes of kernels and results, so that it is the same however a layer is
    computed. What is between the layers (norms, activations) is not counted.

    Args:
        module: the network.
        params: its parameters, arrays or shapes.
        images: what it is called with, an array or a shape.

    Returns:
        By the names of the layers.
    """
    operations = {}
    for name, result in layer_results(module, params, images).items():
        kernel = params[name]["kernel"]
        operations[name] = 2 * result.size * kernel.size // kernel.shape[-1]
    return operations


def network_work(module: nn.Module, params: Params, image: Any) -> Work:
    """What a network cannot avoid for one image.

    Args:
        module: the network.
        params: its parameters.
        image: float or of levels, `[H, W, 3]`; the result is of its type.

    Returns:
        The work.
    """
    images = jax.ShapeDtypeStruct((1, *image.shape), jnp.float32)
    operations = sum(layer_operations(module, params, images).values())
    return Work(operations, 2 * image.nbytes + total_bytes(params))


def total_bytes(*trees: Any) -> int:
    """Bytes of all arrays in some trees."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(trees))
