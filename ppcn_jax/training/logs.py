"""The logs of a run: metrics.jsonl, TensorBoard files and pictures, and the console."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
import rich.console
import rich.progress
from absl import logging

from ppcn_jax.photos.strips import save_png
from ppcn_jax.training.event_file import AppendedFile, EventFile

METRICS = "metrics.jsonl"


class Recorder:
    """Writes scalars and pictures of a run to its workdir, for programs and for TensorBoard.

    Rows after `start_step`, which an interrupted run left behind, are removed, so that a resumed
    run's file equals that of an uninterrupted one. If the disk is full, training continues: rows
    and events are written once there is space again, and pictures are skipped.

    `check_lock` is called before anything is written; see `WorkdirLock.check`.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        start_step: int,
        check_lock: Callable[[], None] = lambda: None,
    ):
        self._check_lock = check_lock
        check_lock()
        if (workdir / METRICS).exists():
            _remove_rows_after(start_step, workdir / METRICS)
        self._rows = AppendedFile(workdir / METRICS)
        purge_step = start_step + 1 if start_step else None
        self._events = EventFile(workdir / "tensorboard", purge_step=purge_step)
        self._strips = workdir / "strips"

    def scalars(self, step: int, split: str, values: Mapping[str, float], **more: object) -> None:
        """Record one row: step, split (such as "train"), numbers, and other JSON values."""
        # JSON has no NaN and no infinities; text can be read by any program.
        numbers = {k: v if np.isfinite(v) else repr(float(v)) for k, v in values.items()}
        row = {"step": step, "split": split, **numbers, **more}
        self._check_lock()
        self._rows.append((json.dumps(row, allow_nan=False) + "\n").encode())
        self._events.scalars(step, {f"{split}/{name}": value for name, value in values.items()})

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Record a picture, uint8 `[H, W, 3]`, for TensorBoard and in the folder strips.

        The file is `<step>.png` for the picture "test", otherwise `<step>.<name>.png`.
        """
        self._check_lock()
        self._events.image(step, name, image)
        ending = ".png" if name == "test" else f".{name}.png"
        try:
            save_png(self._strips / f"{step:07d}{ending}", image)
        except OSError as error:
            logging.warning(f"the picture of step {step} cannot be written: {error}")

    def close(self) -> None:
        """Try to write pending rows and events a last time."""
        self._check_lock()
        self._rows.close()
        self._events.close()


def _remove_rows_after(step: int, path: pathlib.Path) -> None:
    # Rows are ordered by step, and a truncated row is later than any checkpoint.
    kept = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, LookupError, TypeError):
            break
        kept += len(line)
    os.truncate(path, kept)  # unlike a new file, this needs no space on the disk


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
