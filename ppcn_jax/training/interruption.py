"""Signals that ask a run to stop, as schedulers send them before they take a machine away."""

import signal
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Turns SIGINT and SIGTERM into a wish to stop, for as long as the context lasts.

    Schedulers send more than one signal and people press Ctrl-C again: neither must end a process
    that is about to save what it has. SIGQUIT (Ctrl-backslash) and SIGKILL end it at once.

    Attributes:
        asked: whether any came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
