"""What a run tells: metrics.jsonl and TensorBoard files, a progress bar and lines on the console."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Self

import numpy as np
import rich.console
import rich.progress
from absl import logging

from ppcn_jax.photos.strips import save_png
from ppcn_jax.training.appended import AppendedFile
from ppcn_jax.training.event_file import EventFile

METRICS = "metrics.jsonl"


class Recorder:
    """Scalars and pictures on disk, for programs and for TensorBoard.

    Rows after `start_step` that an interrupted run left behind are dropped, so that a resumed
    run's file is that of an unbroken one. A disk that is full, or gone, ends no training: what is
    missing is told, and rows and events are written when there is space again.

    Args:
        workdir: of the run.
        start_step: updates already made.
    """

    def __init__(self, workdir: pathlib.Path, *, start_step: int):
        if (workdir / METRICS).exists():
            _drop_rows_after(start_step, workdir / METRICS)
        self._rows = AppendedFile(workdir / METRICS)
        # Events of later steps, from before an interruption, are hidden by TensorBoard.
        purge_step = start_step + 1 if start_step else None
        self._events = EventFile(workdir / "tensorboard", purge_step=purge_step)
        self._strips = workdir / "strips"

    def scalars(self, step: int, split: str, values: Mapping[str, float], **more: object) -> None:
        """Record one row: the step, the split (such as "train"), values, and what is no number."""
        row = {"step": step, "split": split, **{k: _finite(v) for k, v in values.items()}, **more}
        self._rows.append((json.dumps(row, allow_nan=False) + "\n").encode())
        self._events.scalars(step, {f"{split}/{name}": value for name, value in values.items()})

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Record a picture, uint8 `[H, W, 3]`, for TensorBoard and as `strips/<step>.png`."""
        self._events.image(step, name, image)
        try:
            save_png(self._strips / f"{step:07d}.png", image)
        except OSError as error:
            logging.warning(f"no strip of step {step}, training goes on without: {error}")

    def close(self) -> None:
        """Try a last time to write what is missing."""
        self._rows.close()
        self._events.close()


def _drop_rows_after(step: int, path: pathlib.Path) -> None:
    # Rows are in the order of their steps. What a crash cut short is behind any checkpoint.
    kept = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, LookupError, TypeError):
            break
        kept += len(line)
    os.truncate(path, kept)  # needs no space on the disk, unlike a new file


def _finite(value: float) -> float | str:
    # JSON has no NaN or infinity; a text survives every reader.
    return value if np.isfinite(value) else repr(float(value))


class Progress:
    """A bar with steps, losses and remaining time, and a line every so often.

    Lines that cannot be written, to a file on a full disk, are left out.

    Args:
        total: steps in all.
        start: steps already made.
        console: where to; a silent one for processes other than the first.
    """

    def __init__(self, total: int, start: int, console: rich.console.Console):
        self._total, self._start, self._console = total, start, console
        self._began: float | None = None
        self._first_done = start
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

    def __exit__(self, *exception) -> None:
        with contextlib.suppress(OSError):
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Tell that `step` updates have been made."""
        if self._began is None:  # the first step compiles, and would spoil the estimate
            self._began, self._first_done = time.monotonic(), step
        self._bar.update(self._task, completed=step)

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Print the metrics of a step, the time per step and what remains."""
        losses = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._bar.update(self._task, losses=f"total {values['total']:.4g}")
        self.say(f"step {step}/{self._total}  {losses}{self._pace(step)}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        with contextlib.suppress(OSError):
            self._console.print(text, soft_wrap=True, highlight=False)

    def _pace(self, step: int) -> str:
        if self._began is None or step <= self._first_done:
            return ""
        seconds = (time.monotonic() - self._began) / (step - self._first_done)
        left = round(seconds * (self._total - step))
        return f"  [{seconds * 1000:.0f} ms/step, {left // 60}:{left % 60:02d} left]"
