"""Measures what a run's wall time was spent on."""

import contextlib
import time
from collections.abc import Iterator

# Field in metrics.jsonl -> words on the console. Time that belongs to no other kind counts as
# "steps".
KINDS = {
    "steps": "steps",
    "compile": "compiling",
    "data_wait": "waiting for data",
    "evaluate": "evaluations",
    "checkpoint": "checkpoints",
    "audit": "audits",
    "start": "starting",
}


class TimeSpent:
    """A clock that assigns every moment to one kind of work, at first to "start"."""

    def __init__(self) -> None:
        self._kind, self._since = "start", time.monotonic()
        self._seconds = dict.fromkeys(KINDS, 0.0)
        self._at_last_row = dict(self._seconds)

    def switch(self, kind: str) -> None:
        """Assign time from now on to another of `KINDS`."""
        now = time.monotonic()
        self._seconds[self._kind] += now - self._since
        self._kind, self._since = kind, now

    @contextlib.contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """A context whose time is assigned to one of `KINDS`."""
        before = self._kind
        self.switch(kind)
        try:
            yield
        finally:
            self.switch(before)

    def since_last_row(self) -> dict[str, float]:
        """Shares of the time since the last call, by kind; they add up to 1."""
        self.switch(self._kind)
        spent = {kind: self._seconds[kind] - self._at_last_row[kind] for kind in KINDS}
        self._at_last_row = dict(self._seconds)
        return _shares(spent)

    def total(self) -> dict[str, float]:
        """Shares of all time as "run_<kind>", and "run_seconds"."""
        self.switch(self._kind)
        shares = {f"run_{kind}": share for kind, share in _shares(self._seconds).items()}
        return {"run_seconds": sum(self._seconds.values()), **shares}

    def summary(self) -> str:
        """`total` as a line of text."""
        total = self.total()
        shares = (f"{words} {total[f'run_{kind}']:.1%}" for kind, words in KINDS.items())
        return f"{total['run_seconds']:.1f} s: {', '.join(shares)}"


def _shares(seconds: dict[str, float]) -> dict[str, float]:
    total = max(sum(seconds.values()), 1e-9)
    return {kind: spent / total for kind, spent in seconds.items()}
