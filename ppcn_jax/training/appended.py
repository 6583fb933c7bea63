"""Files that grow record by record, whatever becomes of the disk."""

import contextlib
import os
import pathlib

from absl import logging


class AppendedFile:
    """A file of whole records, which no full disk ends a program for.

    Records that cannot be written are kept in memory and written before the next ones, when that
    works again; one line tells that it does not, and one that it does.

    Args:
        path: the file; it and its folder are made if need be.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._pending = b""
        self._failing = False
        self.append(b"")

    def append(self, record: bytes) -> None:
        """Add a record; it is given to the system at once."""
        self._pending += record
        try:
            self._write()
        except OSError as error:
            if not self._failing:
                logging.warning(
                    f"{self._path} cannot be written, training goes on without: {error}"
                )
            self._failing = True
            return
        if self._failing:
            logging.warning(f"{self._path} is written again, nothing in it is missing")
        self._pending, self._failing = b"", False

    def close(self) -> None:
        """Try a last time to write what is missing."""
        if self._pending:
            self.append(b"")
        if self._pending:
            logging.warning(f"{self._path} lacks its last {len(self._pending)} bytes")

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            whole = file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(self._pending)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):  # half a record would spoil those behind it
                    file.truncate(whole)
                raise
