"""One run a workdir: a file there names the process that holds it, and shows its heartbeat."""

import contextlib
import json
import os
import pathlib
import socket
import threading
import time
import uuid
from typing import Any, Self

import jax
import psutil

from ppcn_jax.runtime.errors import InputError, TryAgain, is_disk_full, printable
from ppcn_jax.runtime.exchange import exchange
from ppcn_jax.runtime.lock_file import FILE, LockFile
from ppcn_jax.runtime.lock_object import LockObject
from ppcn_jax.runtime.machine import place
from ppcn_jax.runtime.processes import end_process
from ppcn_jax.runtime.storage import is_remote, make_folder

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
        self._file, self._content = _lock(workdir), b""
        self._created: list[pathlib.Path] = []
        self._over = threading.Event()
        self._heartbeats = threading.Thread(target=self._beat, name="workdir lock", daemon=True)

    def __enter__(self) -> Self:
        if jax.process_index() == 0:
            self._content = (json.dumps(_record(), indent=2) + "\n").encode()
            try:
                if not is_remote(self._workdir):
                    folders = (self._workdir, *self._workdir.parents)
                    self._created = [path for path in folders if not path.exists()]
                make_folder(self._workdir)
                self._acquire()
            except OSError as error:
                self._remove_created()
                if is_disk_full(error):
                    raise
                raise InputError(f"--workdir {self._workdir} cannot be written: {error}") from error
            self._heartbeats.start()
        exchange("")  # so that all wait for process 0; if it fails, its `SharedFate` ends them
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
            cause = _cause_of_death(content, age, self._silence)
            if not cause:
                raise TryAgain(_in_use(self._workdir, content, age, self._silence))
            if self._file.replace(content, self._content, patience=self._silence):
                print(f"{self._workdir} is taken over from {_name(content)}: {cause}", flush=True)
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


def end_if_in_use(workdir: pathlib.Path, *, silence: float) -> None:
    """End this process with status `START_AGAIN` if a run in a workdir is seen to be alive.

    Call this before `join_processes`: if the processes of a second run reach the coordinator of the
    first, JAX ends both. Where nothing else shows that the process is gone, it takes up to a quarter
    of `silence`, in which a heartbeat is waited for; `WorkdirLock` decides what remains unknown.
    """
    file, previous = _lock(workdir), 0.0
    deadline = time.monotonic() + silence / 4
    with contextlib.suppress(OSError):  # reported when the workdir is written to
        while time.monotonic() < deadline and (found := file.read()) is not None:
            content, age = found
            if _cause_of_death(content, age, silence):
                return
            if age < previous or _is_here(_parse(content)):
                end_process(_in_use(workdir, content, age, silence))
            previous = age
            time.sleep(silence / 200)


def _lock(workdir: pathlib.Path) -> LockFile | LockObject:
    return LockObject(workdir) if is_remote(workdir) else LockFile(workdir)


def _record() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "place": place(),
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


def _name(content: bytes) -> str:
    record = _parse(content)
    return (
        f"process {record['process']} on {record['host']}, since {record['since']}"
        if record
        else f"a process that {FILE} does not name"
    )


def _in_use(workdir: pathlib.Path, content: bytes, age: float, silence: float) -> str:
    return (
        f"{workdir} is in use by {_name(content)}; its last heartbeat was {age:.0f} s ago. Start "
        f"again when it has ended, or use another --workdir. It counts as dead after {silence:g} s "
        "without a heartbeat"
    )


def _cause_of_death(content: bytes, age: float, silence: float) -> str:
    """Why the holder of a lock counts as dead; "" if it does not."""
    record = _parse(content)
    if _is_here(record) and _is_gone(record["process"], record.get("started")):
        return "it is gone"
    return f"no heartbeat for {age:.0f} s" if age > silence else ""


def _is_here(record: dict[str, Any]) -> bool:
    return bool(record) and record["place"] != "" and record["place"] == place()


def _is_gone(process: int, since: object) -> bool:
    """Return True if a process of this machine, which started at `since`, has ended."""
    if not psutil.pid_exists(process):
        return True
    started = _started(process)
    return started == "" or (started is not None and started != since)


def _started(process: int) -> str | None:
    """When a process started, in ticks since the machine did; "" if it has ended; None: unknown.

    The numbers of processes are reused; their starts are not.
    """
    try:
        # The name, in parentheses, may contain anything.
        fields = (
            (_PROC / str(process) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]
