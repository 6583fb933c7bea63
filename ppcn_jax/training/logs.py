"""The logs of a run: metrics.jsonl, TensorBoard files and pictures, and the console."""

import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

import numpy as np
import rich.console
import rich.progress
from absl import logging

from ppcn_jax.photos.strips import save_png
from ppcn_jax.runtime.appended import AppendedFile, read, truncate
from ppcn_jax.runtime.storage import is_remote
from ppcn_jax.training.event_file import EventFile

METRICS = "metrics.jsonl"
# Seconds between parts of the logs in a bucket, where each is an upload that the run waits for.
PART = 30.0


class Writer(Protocol):
    """Where scalars and pictures of a run go besides metrics.jsonl and the folder strips.

    A resumed run writes the steps after its checkpoint again, with equal values.
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers of a step by name, such as "train/total"; they may be NaN or infinite."""
        ...

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Write a picture of a step, uint8 `[H, W, 3]`."""
        ...

    def close(self) -> None:
        """Write what is pending; nothing is written afterwards."""
        ...


class Recorder:
    """Writes scalars and pictures of a run to its workdir, for programs and for TensorBoard.

    Rows after `start_step`, which an interrupted run left behind, are removed, so that a resumed
    run's file equals that of an uninterrupted one. If the disk is full, training continues: rows
    and events are written once there is space again, and pictures are skipped.

    On a local disk, rows and events are written at once; in a bucket every `PART` seconds, before
    each checkpoint (`flush`) and at the end.

    `check_lock` is called before anything is written; see `WorkdirLock.check`. Further `writers` get
    the same scalars and pictures; one that raises an error is dropped, and training continues.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        start_step: int,
        check_lock: Callable[[], None] = lambda: None,
        writers: Sequence[Writer] = (),
    ):
        self._check_lock = check_lock
        check_lock()
        self._path = workdir / METRICS
        _remove_rows_after(start_step, self._path)
        self._rows = AppendedFile(self._path)
        purge_step = start_step + 1 if start_step else None
        self._events = EventFile(workdir / "tensorboard", purge_step=purge_step)
        self._writers: list[Writer] = [self._events, *writers]
        self._strips = workdir / "strips"
        self._part, self._flushed = PART if is_remote(workdir) else 0.0, time.monotonic()

    def scalars(self, step: int, split: str, values: Mapping[str, float], **more: object) -> None:
        """Record one row: step, split (such as "train"), numbers, and other JSON values."""
        # JSON has no NaN and no infinities; text can be read by any program.
        numbers = {k: v if np.isfinite(v) else repr(float(v)) for k, v in values.items()}
        row = {"step": step, "split": split, **numbers, **more}
        self._rows.append((json.dumps(row, allow_nan=False) + "\n").encode())
        named = {f"{split}/{name}": value for name, value in values.items()}
        self._for_each_writer(lambda writer: writer.scalars(step, named))
        if time.monotonic() - self._flushed >= self._part:
            self.flush()

    def flush(self) -> None:
        """Write all rows and events that are not written yet."""
        self._check_lock()
        self._rows.flush()
        self._events.flush()
        self._flushed = time.monotonic()

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Record a picture, uint8 `[H, W, 3]`, for TensorBoard and in the folder strips.

        The file is `<step>.png` for the picture "test", otherwise `<step>.<name>.png`.
        """
        self._for_each_writer(lambda writer: writer.picture(step, name, image))
        self.flush()
        ending = ".png" if name == "test" else f".{name}.png"
        try:
            save_png(self._strips / f"{step:07d}{ending}", image)
        except OSError as error:
            logging.warning(f"the picture of step {step} cannot be written: {error}")

    def close(self) -> None:
        """Try to write pending rows and events a last time."""
        self._check_lock()
        self._rows.close()
        self._for_each_writer(lambda writer: writer.close())
        if is_remote(self._path):
            with contextlib.suppress(OSError):  # the next run joins the parts
                truncate(self._path, len(read(self._path)))

    def _for_each_writer(self, write: Callable[[Writer], None]) -> None:
        for writer in tuple(self._writers):
            try:
                write(writer)
            except Exception as error:  # noqa: BLE001 - of any library; training matters more
                self._writers.remove(writer)
                logging.warning(
                    f"{type(writer).__name__} gets no more rows and pictures, but training "
                    f"continues: {error}"
                )


def _remove_rows_after(step: int, path: pathlib.Path) -> None:
    # Rows are ordered by step, and a truncated row is later than any checkpoint.
    kept, content = 0, read(path)
    for line in content.splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, LookupError, TypeError):
            break
        kept += len(line)
    if content:
        truncate(path, kept)


class Progress:
    """A progress bar and lines of text on the console.

    Output that cannot be written, e.g. to a file on a full disk, is skipped.

    Args:
        total: number of steps of the run.
        start: number of steps made before.
        console: a quiet one in all processes but the first.
    """

    def __init__(self, total: int, start: int, console: rich.console.Console):
        self._total, self._console = total, console
        self._timed_since: tuple[float, int] | None = None  # time and step
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[losses]}"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._bar.add_task("training", total=total, completed=start, losses="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Show that `step` steps are made."""
        if self._timed_since is None:  # the first step compiles and would distort the estimate
            self._timed_since = time.monotonic(), step
        self._bar.update(self._task, completed=step)

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Print the metrics of a step, the time per step and the remaining time."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._bar.update(self._task, losses=f"total {values['total']:.4g}")
        if self._timed_since and step > self._timed_since[1]:
            began, first = self._timed_since
            seconds = (time.monotonic() - began) / (step - first)
            left = round(seconds * (self._total - step))
            text += f"  [{seconds * 1000:.0f} ms/step, {left // 60}:{left % 60:02d} left]"
        self.say(f"step {step}/{self._total}  {text}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        with contextlib.suppress(OSError):
            self._console.print(text, soft_wrap=True, highlight=False)
