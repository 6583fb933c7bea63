"""Finds a process that holds the others up, from the times that all exchange at every checkpoint."""

import json
import socket
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.runtime.exchange import exchange

SLOW = 1.5  # times the median of the other processes
LONG = 3  # consecutive exchanges
# A product of matrices of this size, repeated, shows how fast a device is.
_SIDE, _REPEATED, _MEASURED = 256, 8, 5
_WHAT = ("to prepare a step (data and dispatch)", "for a fixed computation on its devices")


class Stragglers:
    """Measures this process's own times, and names the slowest process if it stays too slow.

    The duration of a step is the same in all processes, because they wait for each other's gradients.
    What is compared is therefore what each of them does alone: the host's work for a step, which holds
    the devices up if it takes most of the duration of a step; and a fixed computation on its devices.

    Args:
        say: prints a line; used in process 0 by `judge`.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        names = exchange(json.dumps(socket.gethostname()))
        self._names = [f"process {k} ({json.loads(name)})" for k, name in enumerate(names)]
        self._run = jax.jit(_compute)
        self._inputs = [
            jax.device_put(np.full((_SIDE, _SIDE), 1 / _SIDE, np.float32), device)
            for device in jax.local_devices()
        ]
        self._alone = jax.process_count() == 1
        self._in_a_row = [0, 0]
        self._named: list[int | None] = [None, None]
        self._working, self._steps, self._since = 0.0, 0, time.monotonic()

    def add(self, steps: int, seconds: float) -> None:
        """Note the host's own work for some steps."""
        self._steps += steps
        self._working += seconds

    def measure(self) -> np.ndarray:
        """Own times since the last call; call it when the devices have nothing else to do.

        Returns:
            float32 `[3]`, seconds: the host's work for a step, the fixed computation, and the
            duration of a step; zeros if this is the only process.
        """
        if self._alone:
            return np.zeros(3, np.float32)
        steps, now = max(self._steps, 1), time.monotonic()
        times = [self._working / steps, self._time_devices(), (now - self._since) / steps]
        self.restart()
        return np.array(times, np.float32)

    def restart(self) -> None:
        """Begin to measure again, after an evaluation for example."""
        self._working, self._steps, self._since = 0.0, 0, time.monotonic()

    def judge(self, times: np.ndarray) -> None:
        """Print a line if a process has become too slow for long, and when it no longer is.

        Args:
            times: float32 `[processes, 3]`, what `measure` has returned in each.
        """
        if self._alone:
            return
        host, device, step = times.T
        # The host's work holds nothing up while it is done before the devices need it.
        self._judge(0, host, relevant=bool(host.max() > step.max() / 2))
        self._judge(1, device, relevant=True)

    def _judge(self, kind: int, seconds: np.ndarray, *, relevant: bool) -> None:
        slowest = int(seconds.argmax())
        median = statistics.median(np.delete(seconds, slowest).tolist())
        slow = relevant and seconds[slowest] > SLOW * median
        self._in_a_row[kind] = self._in_a_row[kind] + 1 if slow else 0
        now = slowest if self._in_a_row[kind] >= LONG else None
        before, self._named[kind] = self._named[kind], now
        if now is not None and now != before:
            self._say(
                f"{self._names[now]} has been the slowest for long: it takes "
                f"{1000 * seconds[now]:.3g} ms {_WHAT[kind]}, the median of the others is "
                f"{1000 * median:.3g} ms"
            )
        elif now is None and before is not None:
            self._say(f"{self._names[before]} is no longer slow {_WHAT[kind]}")

    def _time_devices(self) -> float:
        """Seconds of the fixed computation on all local devices together; a median."""
        measured = []
        for _ in range(1 + _MEASURED):  # the first may compile
            start = time.perf_counter()
            jax.block_until_ready([self._run(x) for x in self._inputs])
            measured.append(time.perf_counter() - start)
        return statistics.median(measured[1:])


def _compute(x: jax.Array) -> jax.Array:
    def multiply(_: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.dot(y, x, precision=jax.lax.Precision.HIGHEST)

    return jax.lax.fori_loop(0, _REPEATED, multiply, x)
