"""Scalars and pictures for TensorBoard.

tensorboardX's own writer has a thread that a full disk ends, and waits for it for ever after.
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

from ppcn_jax.training.appended import AppendedFile


class EventFile:
    """A file of events, each on disk at once unless that is full.

    Args:
        folder: gets a file named after the time and the machine.
        purge_step: events of other files from this step on are hidden; None hides nothing.
    """

    def __init__(self, folder: pathlib.Path, *, purge_step: int | None):
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._file = AppendedFile(folder / name)
        self._append(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._append(Event(step=purge_step, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers by name."""
        shown = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._append(Event(step=step, summary=Summary(value=shown)))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Record a picture, uint8 `[H, W, 3]`."""
        self._append(Event(step=step, summary=summary.image(name, image, dataformats="HWC")))

    def close(self) -> None:
        """Try a last time to write what is missing."""
        self._file.close()

    def _append(self, event: Event) -> None:
        event.wall_time = time.time()
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        checked = [part + struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
        self._file.append(b"".join(checked))
