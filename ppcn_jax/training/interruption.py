"""Signals that ask a run to stop, as schedulers send them before they reclaim a machine."""

import signal
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within this context SIGINT and SIGTERM only set a flag.

    Schedulers send several signals, and people press Ctrl-C repeatedly; none of them may end a
    process that is about to save a checkpoint. SIGQUIT (Ctrl-backslash) and SIGKILL still end it.

    Attributes:
        requested: True once a signal has arrived.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
