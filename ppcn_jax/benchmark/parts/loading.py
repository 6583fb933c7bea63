"""The speed of reading batches from disk."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.benchmark.rows import Rows, make_row
from ppcn_jax.steps.augment import image_keys, prepare

Batches = Iterator[dict[str, np.ndarray]]

# Batches before timing starts, and timed together: pipelines read a few in advance.
WARM_UP, STRETCH = 8, 8


def measure_loading(loaders: Mapping[str, Callable[[], Batches]], *, rounds: int) -> Rows:
    """Time batches as training gets them: decoded, flipped and rotated, as floats.

    Loaders are timed separately, not in turn, because each reads in advance.

    Args:
        loaders: by name, functions that open an endless iterator over `{"input", "target"}`, uint8
            `[devices, N, S, S, 3]`.
        rounds: measurements of `STRETCH` batches for each.
    """

    @jax.jit
    def augment(step: jax.Array, batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return prepare(image_keys(0, step, batch["input"].shape[0]), batch)

    def take(batches: Batches) -> jax.Array:
        batch = next(batches)
        images = {k: batch[k].reshape(-1, *batch[k].shape[2:]) for k in ("input", "target")}
        return jax.block_until_ready(augment(jnp.int32(0), images))[0]

    for name, open_loader in loaders.items():
        batches = open_loader()
        for _ in range(WARM_UP):
            images = take(batches)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            for _ in range(STRETCH):
                take(batches)
            times.append((time.perf_counter() - start) / STRETCH)
        seconds = statistics.median(times)
        count, side = images.shape[:2]
        yield make_row(
            f"input: batches of {count} pairs of {side}x{side}",
            name,
            milliseconds=1000 * seconds,
            operations=0,
            bytes=2 * (1 + 4) * images.size,  # input and target, read as uint8, written as float32
            note=f"{1 / seconds:.1f} batches, {count / seconds:.0f} pairs a second",
        )
