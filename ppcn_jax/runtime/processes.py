"""What the processes of one run know of each other: that one failed, which, and why.

Alone, each would wait for ever for the gradients of one that is gone. JAX's coordination service,
which lives in process 0, carries the words: every process shows signs of life there and waits for
a message at an address of its own.
"""

import atexit
import contextlib
import os
import socket
import sys
import threading
import time
from typing import Any, Self

import jax

from ppcn_jax.runtime.errors import is_disk_full

# sysexits.h, EX_TEMPFAIL: nothing is wrong with the command; start it again in all processes.
START_AGAIN = 75
LONGEST_WAIT = 3600.0  # of one question for a message, seconds
FAREWELL = 10.0  # seconds that a failed process 0 waits at most for the others to go first
_ADVICE = "; started again in all processes, the same command continues from the last checkpoint."


class SharedFate:
    """A context in which the failure of one process ends all, each with a line that names it.

    Where a process fails by an exception, the others are told at once and end as it does, with
    status 1 (or `START_AGAIN` where a disk is full). Where it dies or stops, they are told after
    `silence` seconds and at most a fifth more, and end with `START_AGAIN`. The death of process 0
    takes the coordination service along: then they end at once, by the same status or by JAX,
    which aborts them and names "the leader task".

    Args:
        silence: seconds without a sign of life after which a process counts as dead.
    """

    def __init__(self, *, silence: float):
        self._silence = silence
        self._index, self._count = jax.process_index(), jax.process_count()
        self._name = f"process {self._index} of {self._count} ({socket.gethostname()})"
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="signs of life", daemon=True)
        self._listening = threading.Thread(target=self._listen, name="messages", daemon=True)

    def __enter__(self) -> Self:
        if self._count > 1:
            self._service = _service()
            self._show_life(0)
            self._beating.start()
            self._listening.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._count == 1:
            return
        if isinstance(error, jax.errors.JaxRuntimeError):
            # Exchanges fail when another process is gone; which, is known only after its silence.
            _say(f"{self._name}: {_first_line(error)}. Waiting to hear whether a process is gone.")
            time.sleep(1.5 * self._silence)
        self._over.set()
        if isinstance(error, Exception | KeyboardInterrupt):
            status = START_AGAIN if is_disk_full(error) else 1
            told = f"{self._name} failed: {type(error).__name__}: {_first_line(error)}"
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # the others are gone already
                self._tell_all(status, told)
            sys.stdout.flush()
            # Once the error is printed. JAX would wait minutes for the others to say good-bye.
            atexit.register(self._leave, status)
        else:
            self._beating.join()
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                self._service.key_value_delete(_life(self._index))
                # Ends our own listening.
                self._service.key_value_set(_mailbox(self._index), "", allow_overwrite=True)

    def _beat(self) -> None:
        judge = _Judge(self._silence)
        beats = 0
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone: see _listen
            while not self._over.wait(self._silence / 10):
                beats += 1
                self._show_life(beats)
                if self._index == 0:
                    for key, name in judge(self._service.key_value_dir_get(_life(""))):
                        self._service.key_value_delete(key)
                        silent = f"{name} gave no sign of life for {self._silence:g} s"
                        self._tell_all(START_AGAIN, silent)

    def _show_life(self, beats: int) -> None:
        value = f"{beats} {self._name}"
        self._service.key_value_set(_life(self._index), value, allow_overwrite=True)

    def _tell_all(self, status: int, message: str) -> None:
        for index in range(self._count):
            self._service.key_value_set(
                _mailbox(index), f"{status} {message}", allow_overwrite=True
            )

    def _listen(self) -> None:
        message = None
        while message is None:
            try:
                message = self._service.blocking_key_value_get(
                    _mailbox(self._index), int(1000 * LONGEST_WAIT)
                )
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    message = f"{START_AGAIN} process 0 is gone ({_first_line(error)})"
        if not self._over.is_set():
            status, _, reason = message.partition(" ")
            _say(f"{reason}. Ending {self._name}{_ADVICE if int(status) == START_AGAIN else '.'}")
            self._leave(int(status))

    def _leave(self, status: int) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._service.key_value_delete(_life(self._index))
            # The others need this process for its message, and to say that they have gone.
            deadline = time.monotonic() + FAREWELL
            while self._index == 0 and time.monotonic() < deadline:
                lives = self._service.key_value_dir_get(_life(""))
                if all(key == _life(0) for key, _ in lives):
                    break
                time.sleep(0.1)
        os._exit(status)


class _Judge:
    """Tells whose signs of life have stopped."""

    def __init__(self, silence: float):
        self._silence = silence
        self._seen: dict[str, tuple[str, float]] = {}

    def __call__(self, lives: list[tuple[str, str]]) -> list[tuple[str, str]]:
        now = time.monotonic()
        for key, value in lives:
            if self._seen.get(key, ("", 0.0))[0] != value:
                self._seen[key] = (value, now)
        return [
            (key, value.split(" ", 1)[1])
            for key, value in lives
            if now - self._seen[key][1] > self._silence
        ]


def end_process(reason: str) -> None:
    """End this process at once with the status `START_AGAIN`, whatever its threads wait for.

    Args:
        reason: a line for standard error.
    """
    _say(reason)
    os._exit(START_AGAIN)


def _say(text: str) -> None:
    # Python's own stream may be locked by a thread that hangs.
    os.write(2, f"\n{text}\n".encode())


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _service() -> Any:
    # JAX has no public way to it.
    from jax._src import distributed

    return distributed.global_state.client


def _life(index: int | str) -> str:
    return f"ppcn_jax/life/{index}"


def _mailbox(index: int) -> str:
    return f"ppcn_jax/mailbox/{index}"
