"""The processes of one run: joining them, and ending all of them when one fails.

If a process failed alone, the others would wait forever for its gradients. Messages go
through the key-value store of JAX's coordination service, which runs in process 0: each process
updates a heartbeat there and waits for a message at a key of its own, its mailbox.
"""

import atexit
import contextlib
import logging
import math
import os
import pathlib
import socket
import sys
import textwrap
import threading
import time
import traceback
import types
from typing import NoReturn, Self

import jax

from ppcn_jax.runtime.errors import FaultyDevice, TryAgain, is_disk_full
from ppcn_jax.runtime.exchange import coordination_service, wait_for
from ppcn_jax.runtime.heartbeat_file import keep_fresh

# sysexits.h, EX_TEMPFAIL: nothing is wrong with the command; start it again in all processes.
START_AGAIN = 75
# Beyond those of sysexits.h: a device computes wrong results and must be taken out of service.
FAULTY_DEVICE = 79
FAREWELL = 30.0  # seconds that a failed process 0 waits at most for the others to end first
GRACE = 1.0  # seconds that process 0 gives the others to end after their heartbeats have
# Part of the message of the ValueError that JAX raises where it detects no cluster: the error has
# no type of its own. tests/runtime/test_processes.py fails if a version of JAX changes the text.
NO_CLUSTER = "coordinator_address"
# Part of the message of a JaxRuntimeError if an exchange between processors of several processes
# fails, for example because another process was 30 s late: the error has no type of its own.
# tests/faults/test_processes.py fails if a version of JAX changes the text.
FAILED_EXCHANGE = "Gloo "
_ENDING = threading.Lock()  # taken by the thread that ends this process, and never released
_ADVICE = "; started again in all processes, the same command continues from the last checkpoint."


def join_processes(
    coordinator: str | None, count: int | None, index: int | None, *, detect: bool, silence: float
) -> None:
    """Start `jax.distributed` if this process is one of several.

    Args:
        coordinator: address host:port of process 0; None if JAX is to detect it.
        count: number of processes, with `coordinator`.
        index: of this process, with `coordinator`.
        detect: without `coordinator`, look for a cluster that JAX knows.
        silence: see `SharedFate`.
    """
    # JAX's own timeout also works when Python is stuck, but it aborts the process. It must be the
    # later one even if a process dies just before its next heartbeat to JAX, of which there are
    # two in a timeout, and if the threads of `SharedFate` wait for a busy processor.
    timeout = math.ceil(4 * silence)
    if coordinator is not None:
        jax.distributed.initialize(coordinator, count, index, heartbeat_timeout_seconds=timeout)
    elif detect:
        try:
            jax.distributed.initialize(heartbeat_timeout_seconds=timeout)
        except ValueError as error:
            if NO_CLUSTER not in str(error):
                raise


class SharedFate:
    """A context in which the failure of one process ends all, each with a line that names it.

    If a process fails by an exception, the others get a message at once and end as it does, with
    status 1 (or `START_AGAIN` after `TryAgain` or `ConnectionError`, if a disk is full, or if an
    exchange between processes failed, and `FAULTY_DEVICE` after an error of that name). If it dies
    or hangs, the others notice after `silence` seconds and at most a fifth more, and end with
    `START_AGAIN`; if their own Python is stuck for as long again, JAX aborts them (SIGABRT). The coordination service
    dies with process 0: the others then end at once, with the same status or because JAX aborts
    them and names "the leader task".

    Args:
        silence: seconds without a heartbeat after which a process counts as dead.
        heartbeat_file: a file to keep fresh from now on until the process ends.
    """

    def __init__(self, *, silence: float, heartbeat_file: str | None = None):
        self._silence, self._file = silence, heartbeat_file
        self._index, self._count = jax.process_index(), jax.process_count()
        self._name = f"process {self._index} of {self._count} ({socket.gethostname()})"
        self._over = threading.Event()  # heartbeats end
        self._leaving = False  # messages of the others do not matter any more
        self._heartbeats = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
        self._messages = threading.Thread(target=self._listen, name="messages", daemon=True)
        self._seen: dict[str, tuple[str, float]] = {}  # heartbeat's key -> value, since when

    def __enter__(self) -> Self:
        if self._file is not None:
            keep_fresh(pathlib.Path(self._file), every=self._silence / 10)
        if self._count > 1:
            self._service = coordination_service()
            self._show_life(0)
            self._heartbeats.start()
            self._messages.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: types.TracebackType | None,
    ) -> None:
        if self._count == 1:
            return
        if isinstance(error, jax.errors.JaxRuntimeError):
            # Collectives fail if another process is gone; which one is known after `silence`.
            _say(f"{self._name}: {_first_line(error)}. Waiting to learn if a process is gone.")
            time.sleep(1.5 * self._silence)
        self._leaving = True
        if isinstance(error, Exception | KeyboardInterrupt):
            status = _status_after(error)
            reason = f"{self._name} failed: {type(error).__name__}: {_first_line(error)}"
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # the others are gone already
                self._send_to_all(status, reason)
            sys.stdout.flush()
            # After the error is printed. JAX would wait for minutes for the others to disconnect.
            atexit.register(self._end, status)
        else:
            self._over.set()
            self._heartbeats.join()
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                self._service.key_value_delete(_life(self._index))
                # Ends the thread that waits for a message.
                self._service.key_value_set(_mailbox(self._index), "", allow_overwrite=True)

    def leave_after(self, error: Exception, workdir: pathlib.Path) -> NoReturn:
        """Print why this process cannot continue, with its stack if that is unexpected, and end it.

        Its threads are not waited for: after a failed save, Orbax's wait for each other for minutes.
        """
        if _status_after(error) == 1:
            traceback.print_exception(error)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            logging.shutdown()
        if isinstance(error, TryAgain | FaultyDevice):
            _say(str(error))
        elif isinstance(error, ConnectionError):
            reason = textwrap.shorten(str(error), 300)
            _say(f"{reason}. All saved checkpoints are complete, and the same command continues.")
        elif _is_failed_exchange(error):
            _say(f"{self._name}: {_first_line(error)}{_ADVICE}")
        elif is_disk_full(error):
            reason = textwrap.shorten(str(error), 160)
            _say(
                f"the disk of {workdir} is full ({reason}). All saved checkpoints are complete; free "
                "some space, and the same command continues."
            )
        self._end(_status_after(error))

    def leave_with(self, message: str) -> NoReturn:
        """Print a message and end this process with status 1; see `leave_after` for its threads."""
        if self._count == 1:
            sys.exit(message)
        sys.stdout.flush()
        print(message, file=sys.stderr, flush=True)
        self._end(1)

    def _beat(self) -> None:
        beats = 0
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone: see _listen
            while not self._over.wait(self._silence / 10):
                beats += 1
                self._show_life(beats)
                if self._index == 0:
                    for key, name in self._silent(self._service.key_value_dir_get(_life(""))):
                        self._service.key_value_delete(key)
                        reason = f"{name} gave no sign of life for {self._silence:g} s"
                        self._send_to_all(START_AGAIN, reason)

    def _show_life(self, beats: int) -> None:
        value = f"{beats} {self._name}"
        self._service.key_value_set(_life(self._index), value, allow_overwrite=True)

    def _silent(self, heartbeats: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Keys and processes of the heartbeats that have not changed for `silence` seconds."""
        now = time.monotonic()
        for key, value in heartbeats:
            if self._seen.get(key, ("", 0.0))[0] != value:
                self._seen[key] = (value, now)
        return [
            (key, value.split(" ", 1)[1])
            for key, value in heartbeats
            if now - self._seen[key][1] > self._silence
        ]

    def _send_to_all(self, status: int, reason: str) -> None:
        for index in range(self._count):
            message = f"{status} {reason}"
            self._service.key_value_set(_mailbox(index), message, allow_overwrite=True)

    def _listen(self) -> None:
        try:
            message = wait_for(self._service, _mailbox(self._index))
        except jax.errors.JaxRuntimeError as error:
            message = f"{START_AGAIN} process 0 is gone ({_first_line(error)})"
        if not self._leaving:
            status, _, reason = message.partition(" ")
            _say(f"{reason}. Ending {self._name}{_ADVICE if int(status) == START_AGAIN else '.'}")
            self._end(int(status))

    def _end(self, status: int) -> NoReturn:
        if self._count > 1:
            if self._index > 0:
                self._over.set()
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                self._service.key_value_delete(_life(self._index))
                # The others need process 0 to receive its message and to report that they end.
                deadline = time.monotonic() + FAREWELL
                while self._index == 0 and time.monotonic() < deadline:
                    heartbeats = self._service.key_value_dir_get(_life(""))
                    if all(key == _life(0) for key, _ in heartbeats):
                        time.sleep(GRACE)  # JAX aborts processes that outlive process 0
                        break
                    time.sleep(0.1)
        os._exit(status)


def end_process(reason: str, status: int = START_AGAIN) -> NoReturn:
    """End this process at once, even if its threads hang.

    Of several threads that find a reason at once, one gives it and the others wait for the end.

    Args:
        reason: a line for standard error.
        status: of the process.
    """
    _ENDING.acquire()
    _say(reason)
    os._exit(status)


def _say(text: str) -> None:
    # Not by Python's stream, whose lock a thread that hangs may hold.
    os.write(2, f"\n{text}\n".encode())


def _status_after(error: BaseException) -> int:
    if isinstance(error, FaultyDevice):
        return FAULTY_DEVICE
    again = isinstance(error, TryAgain | ConnectionError)
    again = again or is_disk_full(error) or _is_failed_exchange(error)
    return START_AGAIN if again else 1


def _is_failed_exchange(error: BaseException) -> bool:
    return isinstance(error, jax.errors.JaxRuntimeError) and FAILED_EXCHANGE in str(error)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _life(index: int | str) -> str:
    return f"ppcn_jax/life/{index}"


def _mailbox(index: int) -> str:
    return f"ppcn_jax/mailbox/{index}"
