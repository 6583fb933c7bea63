"""How long training waits for its data."""

import time
from collections.abc import Generator

import numpy as np


class TimedBatches:
    """A stream of batches that knows how long its consumer waited for them.

    Args:
        stream: of batches.
    """

    def __init__(self, stream: Generator[dict[str, np.ndarray]]):
        self._stream = stream
        self._waited = self._waited_at_row = 0.0
        self._began = self._row_began = time.monotonic()

    def take(self, count: int) -> list[dict[str, np.ndarray]]:
        """The inputs and targets of the next batches."""
        asked = time.monotonic()
        batches = [next(self._stream) for _ in range(count)]
        self._waited += time.monotonic() - asked
        return [{name: batch[name] for name in ("input", "target")} for batch in batches]

    def share_since_last_asked(self) -> float:
        """Waiting as a share of the time since this was last asked, 0 to 1."""
        now = time.monotonic()
        share = (self._waited - self._waited_at_row) / max(now - self._row_began, 1e-9)
        self._waited_at_row, self._row_began = self._waited, now
        return share

    def summary(self) -> str:
        """Waiting of the whole run, for people."""
        seconds = time.monotonic() - self._began
        return f"waited for data {self._waited:.1f} of {seconds:.1f} s"

    def close(self) -> None:
        """End the stream's background work."""
        self._stream.close()
