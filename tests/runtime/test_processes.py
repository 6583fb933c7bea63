"""Joining processes and messages between them, as far as one process shows it.

tests/faults/test_processes.py has the failures of one of two.
"""

import os
import socket
import subprocess
import sys
import time

import jax
import pytest

from ppcn_jax.runtime import exchange, processes
from ppcn_jax.runtime.errors import FaultyDevice
from ppcn_jax.runtime.processes import FAULTY_DEVICE, START_AGAIN, SharedFate, join_processes

# Variables by which JAX detects a cluster.
CLUSTERS = ("SLURM_", "OMPI_", "PMIX_", "KUBERNETES_", "TPU_", "JAX_COORDINATOR")


def run(program):
    """Run a program where no cluster is detected; the lines that it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(CLUSTERS)}
    command = [sys.executable, "-c", program]
    output = {"capture_output": True, "encoding": "utf-8"}
    result = subprocess.run(command, check=False, env=environment, timeout=120, **output)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_without_a_cluster_there_is_one_process():
    # Fails if a version of JAX changes the message that `join_processes` looks for.
    program = """
import jax
from ppcn_jax.runtime.processes import NO_CLUSTER, join_processes
join_processes(None, None, None, detect=True, silence=60.0)
print(jax.distributed.is_initialized())
try:
    jax.distributed.initialize()
except ValueError as error:
    print(NO_CLUSTER in str(error))
"""
    assert run(program) == ["False", "True"]


def test_other_errors_of_a_cluster_are_raised(monkeypatch):
    def initialize(**timeouts):
        raise ValueError("SLURM_NTASKS is no number")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(ValueError, match="SLURM_NTASKS"):
        join_processes(None, None, None, detect=True, silence=60.0)
    join_processes(None, None, None, detect=False, silence=60.0)


@pytest.mark.parametrize("silence", [0.5, 5.0, 60.0])
def test_jax_notices_a_dead_process_later_than_we_do(monkeypatch, silence):
    given = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **kwargs: given.append(kwargs))
    join_processes(None, None, None, detect=True, silence=silence)
    join_processes("localhost:1", 2, 0, detect=False, silence=silence)
    for kwargs in given:
        # A process that dies just before its next heartbeat has been silent for half of it.
        assert kwargs["heartbeat_timeout_seconds"] / 2 > 1.2 * silence + silence / 2
    assert len(given) == 2


def test_the_coordination_service_offers_what_messages_need():
    # Orbax's access to it, and the methods, are not part of JAX's documented interface.
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    program = f"""
import time
import jax
from ppcn_jax.runtime.exchange import coordination_service
from ppcn_jax.runtime.processes import join_processes
join_processes("localhost:{port}", 1, 0, detect=True, silence=60.0)
service = coordination_service()
start = time.monotonic()
try:
    service.blocking_key_value_get("a/1", 500)
except jax.errors.JaxRuntimeError:
    print(time.monotonic() - start > 0.25)
service.key_value_set("a/1", "old", allow_overwrite=True)
service.key_value_set("a/1", "new", allow_overwrite=True)
print(service.key_value_dir_get("a/"))
print(service.blocking_key_value_get("a/1", 500))
service.key_value_delete("a/1")
print(service.key_value_dir_get("a/"))
"""
    assert run(program) == ["True", "[('a/1', 'new')]", "new", "[]"]


class Service:
    """Answers requests for a message in turn: by errors after some time, or a text."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def blocking_key_value_get(self, key, milliseconds):
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            return answer
        time.sleep(answer)
        raise jax.errors.JaxRuntimeError(f"after {answer} s\nmore")


def test_texts_are_exchanged_between_processes():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    program = f"""
import sys
from ppcn_jax.runtime.exchange import exchange, layout
from ppcn_jax.runtime.processes import join_processes
index = int(sys.argv[1])
join_processes("localhost:{port}", 2, index, detect=True, silence=60.0)
print([exchange(f"{{text}} of {{index}}") for text in "ab"])
print(layout())
"""
    command = [sys.executable, "-c", program]
    output = {"stdout": subprocess.PIPE, "encoding": "utf-8"}
    both = [subprocess.Popen([*command, str(index)], **output) for index in range(2)]
    lines = [process.communicate(timeout=120)[0].splitlines() for process in both]
    for index, (exchanged, layout) in enumerate(lines):
        assert exchanged == "[['a of 0', 'a of 1'], ['b of 0', 'b of 1']]"
        assert layout == str(
            {
                "process_index": index,
                "process_count": 2,
                "processes_here": 2,
                "local_devices": jax.local_device_count(),
            }
        )
    assert exchange.exchange("a") == ["a"]
    assert exchange.layout()["processes_here"] == 1


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ((0.4, 0.4, "75 process 1 is gone"), "process 1 is gone. Ending process 0 of 1"),
        ((0.4, 0.0, "75 never read"), "process 0 is gone (after 0.0 s). Ending process 0 of 1"),
    ],
    ids=["timeouts", "gone"],
)
def test_a_request_that_runs_out_of_time_is_repeated(monkeypatch, capfd, answers, line):
    monkeypatch.setattr(exchange, "LONGEST_WAIT", 0.4)
    fate = SharedFate(silence=60.0)
    monkeypatch.setattr(fate, "_service", Service(*answers), raising=False)
    ends = []
    monkeypatch.setattr(fate, "_end", ends.append)
    fate._listen()
    assert ends == [START_AGAIN]
    assert line in capfd.readouterr().err


def test_a_heartbeat_that_stops_is_noticed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    fate = SharedFate(silence=5.0)
    alive, dead = ("life/0", "1 process 0"), ("life/1", "1 process 1")
    assert fate._silent([alive, dead]) == []
    now[0] = 4.0
    alive = ("life/0", "2 process 0")
    assert fate._silent([alive, dead]) == []
    now[0] = 6.0
    assert fate._silent([alive, dead]) == [("life/1", "process 1")]


@pytest.mark.parametrize(
    ("error", "status", "last_line"),
    [
        (OSError(28, "No space left"), START_AGAIN, "the disk of W is full ([Errno 28] No space"),
        (FaultyDevice("cpu:1 is wrong"), FAULTY_DEVICE, "cpu:1 is wrong"),
        (
            jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: timeout\nmore"),
            START_AGAIN,
            "process 0 of 1 (",
        ),
        (jax.errors.JaxRuntimeError("INTERNAL: x"), 1, "jax.errors.JaxRuntimeError: INTERNAL: x"),
        (KeyError("x"), 1, "KeyError: 'x'"),
    ],
    ids=["full disk", "faulty device", "failed exchange", "failed computation", "other"],
)
def test_an_unexpected_error_is_printed_last(monkeypatch, capfd, error, status, last_line):
    fate = SharedFate(silence=60.0)
    ends = []
    monkeypatch.setattr(fate, "_end", ends.append)
    monkeypatch.setattr(processes.logging, "shutdown", lambda: None)  # of this process
    fate.leave_after(error, "W")
    assert ends == [status]
    assert capfd.readouterr().err.splitlines()[-1].startswith(last_line)


def test_a_mistake_of_the_user_ends_one_process_as_usual():
    with pytest.raises(SystemExit, match="DataError: x"):
        SharedFate(silence=60.0).leave_with("DataError: x")


class Run:
    """What two processes see of each other: heartbeats, waits and ends, in their order."""

    def __init__(self, monkeypatch):
        self.events, self.alive = [], {processes._life(0), processes._life(1)}
        monkeypatch.setattr(processes.os, "_exit", lambda status: self.events.append(status))
        monkeypatch.setattr(processes.time, "sleep", lambda seconds: self.pass_time(seconds))

    def pass_time(self, seconds):
        self.events.append(seconds)
        self.alive.discard(processes._life(1))

    def key_value_dir_get(self, folder):
        return [(key, "alive") for key in sorted(self.alive)]

    def key_value_delete(self, key):
        self.alive.discard(key)
        self.events.append(key)


def fate_of(index, monkeypatch):
    """The `SharedFate` of one of two processes, and their `Run`."""
    run, fate = Run(monkeypatch), SharedFate(silence=60.0)
    monkeypatch.setattr(fate, "_service", run, raising=False)
    fate._index, fate._count = index, 2
    return fate, run


def test_process_0_ends_a_moment_after_the_others(monkeypatch):
    # The coordination service dies with it, and JAX aborts whoever is still there.
    fate, run = fate_of(0, monkeypatch)
    fate._end(1)
    assert run.events == [processes._life(0), 0.1, processes.GRACE, 1]


def test_a_process_that_fails_shows_life_until_it_ends(monkeypatch, capfd):
    # If it fell silent while it still prints its error, process 0 would leave it behind.
    fate, run = fate_of(1, monkeypatch)
    monkeypatch.setattr(fate, "_send_to_all", lambda *message: None)
    monkeypatch.setattr(processes.atexit, "register", lambda *call: None)
    fate.__exit__(ValueError, ValueError("x"), None)
    assert not fate._over.is_set()
    fate.leave_with("ValueError: x")
    assert fate._over.is_set()
    assert run.events == [processes._life(1), 1]
    assert capfd.readouterr().err.splitlines()[-1] == "ValueError: x"


def test_one_line_when_several_threads_end_the_process_at_once():
    # As a suspended run does when it wakes: its loop and its heartbeat find the lock lost.
    program = """
import os, threading, time
from ppcn_jax.runtime import processes
say = processes._say
processes._say = lambda text: (say(text), time.sleep(0.5))  # the others come in between
for _ in range(4):
    threading.Thread(target=processes.end_process, args=("the reason",)).start()
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, check=False, timeout=120, capture_output=True, encoding="utf-8"
    )
    assert (result.returncode, result.stderr) == (START_AGAIN, "\nthe reason\n")
