"""A local file whose time of modification shows that this process is alive, for liveness probes."""

import contextlib
import pathlib
import threading
import time


def keep_fresh(file: pathlib.Path, *, every: float) -> None:
    """Touch a file until the process ends, from a thread of its own.

    Nothing touches it while the process is suspended, or while native code holds Python's lock.

    Args:
        file: created if it does not exist. If it cannot be touched, it grows old.
        every: seconds.
    """

    def beat() -> None:
        while True:
            with contextlib.suppress(OSError):
                file.touch()
            time.sleep(every)

    threading.Thread(target=beat, name="heartbeat file", daemon=True).start()
