"""One run a workdir: a file there names the process that holds it, and shows its heartbeat.

Locks of the operating system are not used, because they are unreliable on network file systems. A
file holds on NFS as well: only one process can create it, a rename replaces it at once, and the age
of a heartbeat is the difference of two times by the clock of the file system.
"""

import contextlib
import errno
import json
import os
import pathlib
import socket
import tempfile
import threading
import time
import uuid
from typing import Any, Self

import jax
from jax.experimental import multihost_utils

from ppcn_jax.runtime.errors import InputError, TryAgain, is_disk_full, printable
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.processes import end_process

FILE = "lock.json"
_TAKEOVER = "lock.takeover"  # exists while a process replaces the lock of a dead one
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)  # ESTALE: NFS, removed by another machine
_PROC = pathlib.Path("/proc")


class WorkdirLock:
    """A context in which no other run writes to a workdir.

    Process 0 holds the lock for all processes of a run. The lock of a dead run is taken over, which
    is printed in a line. A run counts as dead if its process 0 was on this machine and is gone, or
    after `silence` seconds without a heartbeat.

    A run that was suspended for so long may find that another one has taken its workdir over. Its
    process 0 then ends at once with status `START_AGAIN`, before its next write (see `check`) or
    heartbeat.

    Args:
        workdir: created if it does not exist; removed at the end if it was created and is empty.
        silence: seconds, see above.

    Raises:
        TryAgain: on entering, in process 0: another run holds the workdir; names its process.
        InputError: on entering, in process 0: the workdir cannot be written.
    """

    def __init__(self, workdir: pathlib.Path, *, silence: float):
        self._workdir, self._silence = workdir, silence
        self._file, self._content = _LockFile(workdir), b""
        self._created: list[pathlib.Path] = []
        self._over = threading.Event()
        self._heartbeats = threading.Thread(target=self._beat, name="workdir lock", daemon=True)

    def __enter__(self) -> Self:
        if jax.process_index() == 0:
            self._content = (json.dumps(_record(), indent=2) + "\n").encode()
            try:
                parents = self._workdir.parents
                self._created = [path for path in (self._workdir, *parents) if not path.exists()]
                self._workdir.mkdir(parents=True, exist_ok=True)
                self._acquire()
            except OSError as error:
                self._remove_created()
                if is_disk_full(error):
                    raise
                raise InputError(f"--workdir {self._workdir} cannot be written: {error}") from error
            self._heartbeats.start()
        if jax.process_count() > 1:
            # If process 0 fails instead, its `SharedFate` ends the others.
            multihost_utils.sync_global_devices("the workdir is locked")
        return self

    def __exit__(self, *exception: object) -> None:
        if jax.process_index() == 0:
            self._over.set()
            self._heartbeats.join()
            with contextlib.suppress(OSError):
                self._file.remove(self._content)
            self._remove_created()

    def check(self) -> None:
        """End this process at once if its run no longer holds the workdir; call it before writing.

        Only process 0 looks, which writes nearly everything.
        """
        if jax.process_index() == 0 and not self._file.holds(self._content):
            self._end()

    def _remove_created(self) -> None:
        with contextlib.suppress(OSError):
            for folder in self._created:  # raises if there is something in it
                folder.rmdir()

    def _acquire(self) -> None:
        while not self._file.create(self._content):
            found = self._file.read()
            if found is None:  # released just now
                continue
            content, age = found
            record = _parse(content)
            holder = (
                "process {process} on {host}, since {since}".format(**record)
                if record
                else f"a process that {self._file.path} does not name"
            )
            cause = f"no heartbeat for {age:.0f} s" if age > self._silence else ""
            if record and _is_gone(record):
                cause = "it is gone"
            if not cause:
                raise TryAgain(
                    f"{self._workdir} is in use by {holder}; its last heartbeat was {age:.0f} s "
                    "ago. Start again when it has ended, or use another --workdir. It counts as "
                    f"dead after {self._silence:g} s without a heartbeat"
                )
            if self._file.replace(content, self._content, patience=self._silence):
                print(f"{self._workdir} is taken over from {holder}: {cause}", flush=True)
                return
            time.sleep(0.05)  # another process is replacing it

    def _beat(self) -> None:
        while not self._over.wait(self._silence / 10):
            with contextlib.suppress(OSError):  # the next heartbeat may succeed
                if not self._file.holds(self._content, beat=True):
                    self._end()

    def _end(self) -> None:
        end_process(
            f"{self._file.path} is no longer that of process {os.getpid()}: another run has taken "
            "the workdir over, or the file was removed. This process ends and writes nothing more."
        )


class _LockFile:
    """A lock as a file; a store of objects that replaces them conditionally offers the same.

    Its content identifies the holder, and its modification time is the last heartbeat.
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
                    os.utime(file.fileno())
                return equal
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise

    def replace(self, old: bytes, new: bytes, *, patience: float) -> bool:
        """Replace the lock if its content is `old`; of several processes only one succeeds.

        One that dies while it replaces a lock prevents others from it for `patience` seconds.
        """
        mutex = self.path.with_name(_TAKEOVER)
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
                os.utime(probe.fileno())  # as a heartbeat does
                now, beat = (os.fstat(f.fileno()).st_mtime for f in (probe, file))
                return file.read(), max(now - beat, 0.0)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise


def _record() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "place": _place(),
        "started": _started(os.getpid()),
        "token": uuid.uuid4().hex,
    }


def _parse(content: bytes) -> dict[str, Any]:
    """The record in a lock; {} if it is damaged or its process has not written it yet."""
    with contextlib.suppress(ValueError):
        record = json.loads(content)
        text = isinstance(record, dict) and all(
            isinstance(record.get(name), str) for name in ("host", "since", "place")
        )
        if text and isinstance(record.get("process"), int) and record["process"] > 0:
            return record | {name: printable(record[name]) for name in ("host", "since")}
    return {}


def _is_gone(record: dict[str, Any]) -> bool:
    """Return True if the process of a record was on this machine and has ended."""
    if not record["place"] or record["place"] != _place():
        return False
    try:
        os.kill(record["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        pass
    started = _started(record["process"])
    return started == "" or (started is not None and started != record.get("started"))


def _place() -> str:
    """What processes share that see each other under the same numbers; "" where it is unknown.

    Machines and containers may have equal names, so the name alone does not say.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:  # no Linux
        return ""


def _started(process: int) -> str | None:
    """When a process started, in ticks since the machine did; "" if it has ended; None: unknown.

    The numbers of processes are reused; their starts are not.
    """
    try:
        # The name, in parentheses, may contain anything.
        fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]
