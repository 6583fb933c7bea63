"""Show that a long command is still at work, where no progress bar can be drawn."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TextIO


@contextlib.contextmanager
def heartbeat(line: Callable[[], str], stream: TextIO, seconds: float = 5.0) -> Iterator[None]:
    """Write a line to a stream every few seconds while the block runs.

    Args:
        line: returns what to write; called by another thread.
        stream: usually stderr.
        seconds: between two lines, and before the first one.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(seconds):
            print(line(), file=stream, flush=True)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
