"""A file as a lock, also on NFS, where the locks of operating systems are unreliable.

Only one process can create the file, a rename replaces it at once, and the age of a heartbeat is the
difference of two times by the clock of the file system.
"""

import errno
import os
import pathlib
import tempfile
from typing import IO

from ppcn_jax.runtime.files import write_bytes

FILE = "lock.json"
TAKEOVER = "lock.takeover"  # exists while a process replaces the lock of a dead one
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)  # ESTALE: NFS, removed by another machine


class LockFile:
    """The lock of a folder.

    Its content identifies the holder, and its modification time is the last heartbeat. For buckets,
    `LockObject` has the same methods.
    """

    def __init__(self, folder: pathlib.Path):
        self.path = folder / FILE

    def create(self, content: bytes) -> bool:
        """Create the lock; False if it exists."""
        try:
            file = self.path.open("xb")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(content)
        except OSError:
            self.path.unlink()
            raise
        return True

    def read(self) -> tuple[bytes, float] | None:
        """The content and the seconds since the last heartbeat; None if there is no lock."""
        return self._read(self.path)

    def holds(self, content: bytes, *, beat: bool = False) -> bool:
        """Return if the lock has this content; with `beat`, its heartbeat is then now."""
        try:
            with self.path.open("rb") as file:
                equal = file.read() == content
                if equal and beat:
                    _touch(file)
                return equal
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise

    def replace(self, old: bytes, new: bytes, *, patience: float) -> bool:
        """Replace the lock if its content is `old`; of several processes only one succeeds.

        One that dies while it replaces a lock prevents others from it for `patience` seconds.
        """
        mutex = self.path.with_name(TAKEOVER)
        try:
            mutex.touch(exist_ok=False)
        except FileExistsError:
            left = self._read(mutex)
            if left is not None and left[1] > patience:
                mutex.unlink(missing_ok=True)
            return False
        try:
            if not self.holds(old):
                return False
            write_bytes(self.path, new)
            return True
        finally:
            mutex.unlink(missing_ok=True)

    def remove(self, content: bytes) -> None:
        """Remove the lock if it has this content."""
        if self.holds(content):
            self.path.unlink()

    def _read(self, path: pathlib.Path) -> tuple[bytes, float] | None:
        try:
            with path.open("rb") as file, tempfile.TemporaryFile(dir=path.parent) as probe:
                _touch(probe)  # as a heartbeat does
                now, beat = (os.fstat(f.fileno()).st_mtime for f in (probe, file))
                return file.read(), max(now - beat, 0.0)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise


def _touch(file: IO[bytes]) -> None:
    """Set the time of an open file to now, by the clock of its file system."""
    os.utime(file.fileno() if os.utime in os.supports_fd else file.name)  # Windows: by name
