"""Reports a run that hangs: in which step, for how long, and what every thread is doing."""

import collections
import contextlib
import faulthandler
import pathlib
import sys
import tempfile
import threading
import time
from typing import Any, Self, TextIO

import jax

from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.processes import end_process
from ppcn_jax.runtime.storage import is_remote

FOLDER = "hangs"


class Watchdog:
    """Within this context a run without progress is reported, and ended if that lasts.

    A report goes to standard error and to `<workdir>/hangs/process<K>.txt`: what the loop waits
    for, the last step that the devices have completed, and the stacks of all threads.

    Args:
        workdir: the run's workdir.
        report_after: seconds without progress until a report.
        end_after: seconds without progress until the process ends with status `START_AGAIN`; with
            0 it never ends.
    """

    def __init__(self, workdir: pathlib.Path, *, report_after: float, end_after: float):
        self._file = workdir / FOLDER / f"process{jax.process_index()}.txt"
        self._report_after, self._end_after = report_after, end_after
        self._activity, self._since = "starting", time.monotonic()
        self._unfinished: collections.deque[tuple[int, Any]] = collections.deque()
        self._completed: int | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def doing(self, activity: str) -> None:
        """Note progress and what begins now, e.g. "waiting for the data of step 3"."""
        self._activity, self._since = activity, time.monotonic()

    def dispatched(self, step: int, result: jax.Array) -> None:
        """Note that all steps up to `step` are dispatched; `result` is ready when they are done."""
        while self._unfinished and self._unfinished[0][1].is_ready():
            self._completed, _ = self._unfinished.popleft()
        self._unfinished.append((step, result))

    def _watch(self) -> None:
        reported = None
        while not self._over.wait(min(self._report_after / 4, 10.0)):
            since, seconds = self._since, time.monotonic() - self._since
            subject = (
                f"process {jax.process_index()} of {jax.process_count()} has been "
                f"{self._activity} for {seconds:.0f} s"
            )
            if seconds >= self._report_after and reported != since:
                self._report(subject)
                reported = since
            if self._end_after and seconds >= self._end_after:
                end_process(f"{subject}; ending. Start the same command again to continue.")

    def _report(self, subject: str) -> None:
        ready = [step for step, result in tuple(self._unfinished) if result.is_ready()]
        completed = max(ready, default=self._completed)
        text = (
            f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} {subject}; the last completed step is "
            f"{completed or 'none since the start'}. Stacks of all threads:\n"
        )
        if sys.__stderr__ is not None:
            _write(text, sys.__stderr__)
        if is_remote(self._file):
            # The bucket may be what hangs.
            threading.Thread(target=self._upload, args=(text,), daemon=True).start()
            return
        with contextlib.suppress(OSError):  # keep watching even if the disk is full
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                _write(text, file)

    def _upload(self, text: str) -> None:
        """Write a report as an object of its own: process<K>.<time>.txt."""
        with contextlib.suppress(OSError), tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            _write(text, file)
            file.seek(0)
            name = f"{self._file.stem}.{time.strftime('%Y%m%d-%H%M%S')}.txt"
            write_bytes(self._file.with_name(name), file.read().encode())


def _write(text: str, file: TextIO) -> None:
    file.write(text)
    file.flush()
    faulthandler.dump_traceback(file, all_threads=True)
