"""Tells of a run that hangs: in which step, since when, and what every thread is doing."""

import collections
import contextlib
import faulthandler
import pathlib
import sys
import threading
import time
from typing import Any, Self

import jax

from ppcn_jax.runtime.processes import end_process

FOLDER = "hangs"


class Watchdog:
    """A context in which a standstill is reported, and ended when it lasts.

    A report goes to standard error and to `<workdir>/hangs/process<K>.txt`: what the loop waits
    for, the last step that the devices completed, and the stacks of all threads.

    Args:
        workdir: of the run.
        report_after: seconds without progress after which it is reported.
        end_after: seconds after which the process ends with the status `START_AGAIN`; 0 for never.
    """

    def __init__(self, workdir: pathlib.Path, *, report_after: float, end_after: float):
        self._file = workdir / FOLDER / f"process{jax.process_index()}.txt"
        self._report_after, self._end_after = report_after, end_after
        self._doing, self._since = "starting", time.monotonic()
        self._unfinished: collections.deque[tuple[int, Any]] = collections.deque()
        self._completed: int | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self._over.set()

    def doing(self, what: str) -> None:
        """Tell what begins now, e.g. "waiting for the data of step 3"; this counts as progress."""
        self._doing, self._since = what, time.monotonic()

    def dispatched(self, step: int, result: jax.Array) -> None:
        """Tell that the devices have been given all steps up to `step`, and a result of that."""
        while self._unfinished and self._unfinished[0][1].is_ready():
            self._completed, _ = self._unfinished.popleft()
        self._unfinished.append((step, result))

    def _watch(self) -> None:
        reported = None
        while not self._over.wait(min(self._report_after / 4, 10.0)):
            since, standstill = self._since, time.monotonic() - self._since
            if standstill >= self._report_after and reported != since:
                self._report(standstill)
                reported = since
            if self._end_after and standstill >= self._end_after:
                end_process(
                    f"{self._subject()} for {standstill:.0f} s; ending, for the same command to be "
                    "started again."
                )

    def _subject(self) -> str:
        return f"process {jax.process_index()} of {jax.process_count()} has been {self._doing}"

    def _report(self, standstill: float) -> None:
        ready = [step for step, result in tuple(self._unfinished) if result.is_ready()]
        completed = max(ready, default=self._completed)
        last = "none of this start" if completed is None else str(completed)
        text = (
            f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} {self._subject()} for {standstill:.0f} s; "
            f"the last completed step is {last}. What all threads are doing:\n"
        )
        _write(text, sys.__stderr__)
        with contextlib.suppress(OSError):  # a full disk is no reason to stop watching
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                _write(text, file)


def _write(text: str, file: Any) -> None:
    file.write(text)
    file.flush()
    faulthandler.dump_traceback(file, all_threads=True)
