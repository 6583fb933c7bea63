"""The batches of each call, copied to the devices before it, while they compute earlier ones."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np

from ppcn_jax.steps.parallel import Batch, Placed
from ppcn_jax.training.plan import Plan

AHEAD = 2  # calls, on accelerators; processors compute where the batches are already
Put = Callable[[Sequence[Batch]], Placed]


def feed(
    stream: Iterator[dict[str, np.ndarray]], plan: Plan, start: int, put: Put, *, ahead: int
) -> Generator[tuple[int, Placed, Batch]]:
    """The calls of a run, in order.

    Args:
        stream: batches of this process, from `start` on.
        plan: the lengths of the calls.
        start: number of steps made before.
        put: copies the batches of a call to the devices.
        ahead: number of calls to prepare in advance, in a thread; 0 prepares each when it is needed.

    Yields:
        The last step of the call, its batches on the devices, and the last of them on the host.
        Errors of `stream` are raised here.
    """

    def prepare(count: int) -> tuple[Placed, Batch]:
        received = [next(stream) for _ in range(count)]
        images = [{name: batch[name] for name in ("input", "target")} for batch in received]
        return put(images), images[-1]

    lengths = _lengths(plan, start)
    step = start
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
        waiting: collections.deque[tuple[int, concurrent.futures.Future]] = collections.deque()
        # Nothing is prepared during the first call: tracing and compiling hold the GIL.
        for count in lengths:
            step += count
            yield step, *prepare(count)
            if ahead:
                break
        while True:
            for count in lengths:
                waiting.append((count, pool.submit(prepare, count)))
                if len(waiting) > ahead:
                    break
            if not waiting:
                return
            count, future = waiting.popleft()
            step += count
            yield step, *future.result()


def _lengths(plan: Plan, step: int) -> Iterator[int]:
    """Numbers of steps of the calls from `step` to the end."""
    while step < plan.steps:
        yield (count := plan.steps_of_call(step))
        step += count
