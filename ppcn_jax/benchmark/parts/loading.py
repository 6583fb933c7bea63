"""Batches from disk: how fast they come, beside the training step that waits for them."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.benchmark.rows import Rows, make_row
from ppcn_jax.steps.augment import image_keys, prepare

Batches = Iterator[dict[str, np.ndarray]]

# Batches that are taken before time is, and that are timed at once: pipelines keep a few ready.
AHEAD, STRETCH = 8, 8


def measure_loading(loaders: Mapping[str, Callable[[], Batches]], *, rounds: int) -> Rows:
    """Time batches as training gets them, one right after the other: decoded, turned, in float.

    Args:
        loaders: by name, each opens an endless iterator over `{"input", "target"}`, uint8
            `[devices, N, S, S, 3]`.
        rounds: stretches of `STRETCH` batches measured of each.

    Yields:
        A row for each; alone, because a pipeline works ahead while others have their turn.
    """
    for name, open_loader in loaders.items():
        yield from _measure(name, open_loader(), rounds)


def _measure(name: str, batches: Batches, rounds: int) -> Rows:
    @jax.jit
    def augment(step, batch):
        return prepare(image_keys(0, step, batch["input"].shape[0]), batch)

    def take() -> jax.Array:
        batch = next(batches)
        images = {k: batch[k].reshape(-1, *batch[k].shape[2:]) for k in ("input", "target")}
        return jax.block_until_ready(augment(jnp.int32(0), images))[0]

    for _ in range(AHEAD):
        images = take()
    stretches = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(STRETCH):
            take()
        stretches.append((time.perf_counter() - start) / STRETCH)
    seconds = statistics.median(stretches)
    count, side = images.shape[:2]
    yield make_row(
        f"input: batches of {count} pairs of {side}x{side}",
        name,
        milliseconds=1000 * seconds,
        operations=0,
        bytes=2 * (1 + 4) * images.size,  # input and target, read as bytes and written as floats
        note=f"{1 / seconds:.1f} batches, {count / seconds:.0f} pairs a second",
    )
