"""What a run tells: metrics.jsonl and TensorBoard files, a progress bar and lines on the console."""

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Self

import numpy as np
import rich.console
import rich.progress
import tensorboardX

from ppcn_jax.files import write_bytes

METRICS = "metrics.jsonl"


class Recorder:
    """Scalars and pictures on disk, for programs and for TensorBoard.

    Rows after `start_step` that an interrupted run left behind are dropped, so that a resumed
    run's file is that of an unbroken one.

    Args:
        workdir: of the run.
        start_step: updates already made.
    """

    def __init__(self, workdir: pathlib.Path, *, start_step: int):
        path = workdir / METRICS
        if path.exists():
            write_bytes(path, _rows_up_to(path, start_step))
        workdir.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a")
        # Events of later steps, from before an interruption, are hidden by TensorBoard.
        self._events = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard"), purge_step=start_step + 1 if start_step else None
        )

    def scalars(self, step: int, split: str, values: Mapping[str, float], **more: object) -> None:
        """Record one row: the step, the split (such as "train"), values, and what is no number."""
        row = {"step": step, "split": split, **{k: _finite(v) for k, v in values.items()}, **more}
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Record a picture, uint8 `[H, W, 3]`, in the TensorBoard files."""
        self._events.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is buffered."""
        self._file.close()
        self._events.close()


def _rows_up_to(path: pathlib.Path, step: int) -> bytes:
    # A line cut short by a crash is necessarily the last one, and later than any checkpoint.
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return b"".join(line for line in lines if json.loads(line)["step"] <= step)


def _finite(value: float) -> float | str:
    # JSON has no NaN or infinity; a text survives every reader.
    return value if np.isfinite(value) else repr(float(value))


class Progress:
    """A bar with steps, losses and remaining time, and a line every so often.

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
        self._console.print(
            f"step {step}/{self._total}  {losses}{self._pace(step)}",
            soft_wrap=True,
            highlight=False,
        )

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, soft_wrap=True, highlight=False)

    def _pace(self, step: int) -> str:
        if self._began is None or step <= self._first_done:
            return ""
        seconds = (time.monotonic() - self._began) / (step - self._first_done)
        left = round(seconds * (self._total - step))
        return f"  [{seconds * 1000:.0f} ms/step, {left // 60}:{left % 60:02d} left]"
