"""Files that grow record by record, on local disks and in buckets.

Nothing can be appended to an object in a bucket. There, what is appended to FILE is written as parts,
objects FILE.OFFSET that begin at this byte of the complete file. In the order of their names, FILE
and its parts are the complete file.
"""

import contextlib
import os
import pathlib

from absl import logging

from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.storage import bucket_errors, is_remote

_DIGITS = 15


class AppendedFile:
    """A file of complete records that survives a full disk, and a bucket that cannot be reached.

    A record that cannot be written is kept in memory and written before the next one as soon as
    writing works again. A warning is logged when writing begins to fail, and when it recovers.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._pending = b""
        self._failing = False
        self._size = len(read(path)) if is_remote(path) else 0
        self.flush()

    def append(self, record: bytes) -> None:
        """Add a record, which `flush` writes."""
        self._pending += record

    def flush(self) -> None:
        """Write all records that are not written yet, without buffering."""
        try:
            if is_remote(self._path):
                self._write_part()
            else:
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
            self.flush()
        if self._pending:
            logging.warning(f"the last {len(self._pending)} bytes of {self._path} are missing")

    def _write_part(self) -> None:
        if self._pending:
            name = f"{self._path.name}.{self._size:0{_DIGITS}d}"
            write_bytes(self._path.with_name(name), self._pending)
            self._size += len(self._pending)

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


def read(path: pathlib.Path) -> bytes:
    """The complete content of an appended file, b"" if there is none; raises `OSError`."""
    with bucket_errors(path):
        content = path.read_bytes() if path.is_file() else b""
        for part in _parts(path):
            # After a crash of `truncate`, parts may remain that the file itself contains.
            if int(part.suffix[1:]) == len(content):
                content += part.read_bytes()
    return content


def truncate(path: pathlib.Path, size: int) -> None:
    """Shorten an appended file to `size` bytes; in a bucket, it has no parts afterwards.

    A crash in between may leave the parts.
    """
    if not is_remote(path):
        os.truncate(path, size)  # unlike a new file, this needs no space on the disk
        return
    parts = _parts(path)
    if parts or size < len(read(path)):
        write_bytes(path, read(path)[:size])
    with bucket_errors(path):
        for part in parts:
            part.unlink(missing_ok=True)


def _parts(path: pathlib.Path) -> list[pathlib.Path]:
    """The parts of an appended file in a bucket, in order."""
    if not is_remote(path):
        return []
    with bucket_errors(path):
        return sorted(path.parent.glob(f"{path.name}.{'[0-9]' * _DIGITS}"))
