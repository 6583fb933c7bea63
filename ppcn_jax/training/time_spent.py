"""What a run's wall time was spent on."""

import contextlib
import time
from collections.abc import Iterator

# What is productive comes first; "steps" is all that is nothing else.
KINDS = ("steps", "compile", "data_wait", "evaluate", "checkpoint", "start")
_SAID = ("steps", "compiling", "waiting for data", "evaluations", "checkpoints", "starting")


class ProductiveTime:
    """A clock with one hand for each kind of work; at every moment one of them runs.

    It begins with "start".
    """

    def __init__(self):
        self._kind, self._since = "start", time.monotonic()
        self._seconds = dict.fromkeys(KINDS, 0.0)
        self._at_row = dict(self._seconds)

    def switch(self, kind: str) -> None:
        """From now on time is spent on another of `KINDS`."""
        now = time.monotonic()
        self._seconds[self._kind] += now - self._since
        self._kind, self._since = kind, now

    @contextlib.contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """A context in which time is spent on one of `KINDS`; afterwards on what it was before."""
        before = self._kind
        self.switch(kind)
        try:
            yield
        finally:
            self.switch(before)

    def row(self) -> dict[str, float]:
        """Shares of the time since this was last asked, by kind; they add up to 1."""
        self.switch(self._kind)
        spent = {kind: self._seconds[kind] - self._at_row[kind] for kind in KINDS}
        self._at_row = dict(self._seconds)
        return _shares(spent)

    def whole(self) -> dict[str, float]:
        """The same for all the time, under "run_<kind>", and "run_seconds"."""
        self.switch(self._kind)
        shares = _shares(self._seconds)
        return {"run_seconds": sum(self._seconds.values())} | {
            f"run_{kind}": share for kind, share in shares.items()
        }

    def summary(self) -> str:
        """All the time, for people."""
        whole = self.whole()
        shares = (
            f"{said} {whole[f'run_{kind}']:.1%}" for kind, said in zip(KINDS, _SAID, strict=True)
        )
        return f"{whole['run_seconds']:.1f} s: {', '.join(shares)}"


def _shares(seconds: dict[str, float]) -> dict[str, float]:
    total = max(sum(seconds.values()), 1e-9)
    return {kind: spent / total for kind, spent in seconds.items()}
