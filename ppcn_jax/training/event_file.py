"""TensorBoard event files.

tensorboardX's own writer is not used: a full disk ends its thread, and the program then waits for
that thread forever.
"""

import pathlib
import socket
import struct
import time
from collections.abc import Mapping

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c

from ppcn_jax.runtime.appended import AppendedFile


class EventFile:
    """A TensorBoard event file in a folder; `flush` writes its events.

    TensorBoard hides the events of other files from `purge_step` on, unless it is None.
    """

    def __init__(self, folder: pathlib.Path, *, purge_step: int | None):
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._file = AppendedFile(folder / name)
        self._append(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._append(Event(step=purge_step, session_log=start))
        self.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers by name."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._append(Event(step=step, summary=Summary(value=scalars)))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Record an image, uint8 `[H, W, 3]`."""
        self._append(Event(step=step, summary=summary.image(name, image, dataformats="HWC")))

    def flush(self) -> None:
        """Write all events that are not written yet."""
        self._file.flush()

    def close(self) -> None:
        """Try to write pending events a last time."""
        self._file.close()

    def _append(self, event: Event) -> None:
        event.wall_time = time.time()
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        checked = [part + struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
        self._file.append(b"".join(checked))
