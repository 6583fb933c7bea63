"""Files that grow record by record, and TensorBoard event files among them.

tensorboardX's own writer is not used: a full disk ends its thread, and the program then waits for
that thread forever.
"""

import contextlib
import os
import pathlib
import socket
import struct
import time
from collections.abc import Mapping

import numpy as np
from absl import logging
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c


class AppendedFile:
    """A file of complete records that survives a full disk.

    A record that cannot be written is kept in memory and written before the next one as soon as
    writing works again. A warning is logged when writing begins to fail, and when it recovers.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._pending = b""
        self._failing = False
        self.append(b"")

    def append(self, record: bytes) -> None:
        """Write a record without buffering."""
        self._pending += record
        try:
            self._write()
        except OSError as error:
            if not self._failing:
                logging.warning(f"{self._path} cannot be written; training continues: {error}")
            self._failing = True
            return
        if self._failing:
            logging.warning(f"{self._path} can be written again; no record is missing")
        self._pending, self._failing = b"", False

    def close(self) -> None:
        """Try to write pending records a last time."""
        if self._pending:
            self.append(b"")
        if self._pending:
            logging.warning(f"the last {len(self._pending)} bytes of {self._path} are missing")

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(self._pending)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):  # a partial record would corrupt the next ones
                    file.truncate(size)
                raise


class EventFile:
    """A TensorBoard event file in a folder; each event is written at once.

    TensorBoard hides the events of other files from `purge_step` on, unless it is None.
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
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._append(Event(step=step, summary=Summary(value=scalars)))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Record an image, uint8 `[H, W, 3]`."""
        self._append(Event(step=step, summary=summary.image(name, image, dataformats="HWC")))

    def close(self) -> None:
        """Try to write pending events a last time."""
        self._file.close()

    def _append(self, event: Event) -> None:
        event.wall_time = time.time()
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        checked = [part + struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
        self._file.append(b"".join(checked))
