"""The lock of a workdir: who gets it, when it is taken over, and what the loser does.

tests/faults/test_one_run.py has real runs.
"""

import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from ppcn_jax.runtime import workdir_lock
from ppcn_jax.runtime.errors import InputError, TryAgain
from ppcn_jax.runtime.lock_file import FILE, TAKEOVER
from ppcn_jax.runtime.workdir_lock import WorkdirLock, end_if_in_use

SILENCE = 60.0
ELSEWHERE = {"host": "node7", "process": 4711, "since": "2026-11-29 02:40:12", "place": "node7 1 2"}


def leave_lock(folder, *, age=0.0, **changed):
    """Write a lock as another process would; `age` is that of its last heartbeat, in seconds."""
    record = {**ELSEWHERE, "started": "1", "token": "t", **changed}
    return leave_text(folder, json.dumps(record), age=age)


def leave_text(folder, text, *, age=0.0, name=FILE):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    modified = path.stat().st_mtime - age
    os.utime(path, (modified, modified))
    return path


def here(process):
    """The fields by which a process of this machine is known."""
    return {
        "host": socket.gethostname(),
        "process": process,
        "place": workdir_lock.place(),
        "started": workdir_lock._started(process),
    }


@pytest.fixture
def sleeper():
    """A process of this machine that runs until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def ends(monkeypatch):
    """Lines with which a process would have ended."""
    lines = []
    monkeypatch.setattr(workdir_lock, "end_process", lines.append)
    return lines


def test_a_lock_names_its_process_and_is_removed_at_the_end(tmp_path):
    with WorkdirLock(tmp_path, silence=SILENCE):
        record = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
        assert (record["host"], record["process"]) == (socket.gethostname(), os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_a_workdir_in_which_nothing_was_written_is_removed(tmp_path):
    with WorkdirLock(tmp_path / "a" / "b", silence=SILENCE):
        assert (tmp_path / "a" / "b" / FILE).exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), WorkdirLock(tmp_path / "a" / "b", silence=SILENCE):
        (tmp_path / "a" / "b" / "rows").touch()
        raise KeyError
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["rows"]


def test_a_workdir_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"--workdir .*file/run cannot be written: .*Not a dir"),
        WorkdirLock(tmp_path / "file" / "run", silence=SILENCE),
    ):
        pass


def test_a_second_run_in_this_process_or_another_is_refused(tmp_path, sleeper, capfd):
    with (
        WorkdirLock(tmp_path, silence=SILENCE),
        pytest.raises(TryAgain, match=rf"in use by process {os.getpid()} on"),
        WorkdirLock(tmp_path, silence=SILENCE),
    ):
        pass
    path = leave_lock(tmp_path, **here(sleeper.pid))
    content = path.read_bytes()
    with (
        pytest.raises(TryAgain, match=rf"in use by process {sleeper.pid} on"),
        WorkdirLock(tmp_path, silence=SILENCE),
    ):
        pass
    assert path.read_bytes() == content
    assert capfd.readouterr() == ("", "")


def test_the_message_says_who_is_alive(tmp_path, monkeypatch):
    leave_lock(tmp_path, age=17.0)
    # Clocks of machines differ; the age is by the clock of the file system.
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with pytest.raises(TryAgain) as caught, WorkdirLock(tmp_path, silence=SILENCE):
        pass
    (line,) = str(caught.value).splitlines()
    assert line.startswith(
        f"{tmp_path} is in use by process 4711 on node7, since 2026-11-29 02:40:12; its last "
        "heartbeat was 17 s ago. Start again when it has ended, or use another --workdir"
    )


@pytest.mark.parametrize("text", ["", '{"host": "n', '{"host": "n", "process": -1}', "[]", "\0"])
def test_a_lock_without_a_name_counts_by_its_heartbeat(tmp_path, capfd, text):
    leave_text(tmp_path, text)
    with pytest.raises(TryAgain, match="a process that .* does not name"):
        WorkdirLock(tmp_path, silence=SILENCE).__enter__()
    leave_text(tmp_path, text, age=SILENCE + 5)
    with WorkdirLock(tmp_path, silence=SILENCE):
        assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["process"] == os.getpid()
    assert "no heartbeat for 65 s" in capfd.readouterr().out


def test_a_lock_of_another_machine_is_taken_over_when_its_heartbeat_is_old(tmp_path, capfd):
    leave_lock(tmp_path, age=SILENCE + 40)
    with WorkdirLock(tmp_path, silence=SILENCE):
        assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["process"] == os.getpid()
        assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert capfd.readouterr().out == (
        f"{tmp_path} is taken over from process 4711 on node7, since 2026-11-29 02:40:12: no "
        "heartbeat for 100 s\n"
    )


def test_a_lock_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path, sleeper, capfd):
    records = [
        {**here(os.getpid()), "started": "1"},  # its number was given to another process
        here(sleeper.pid),
    ]
    sleeper.kill()
    # Nobody waits for it, so that it stays a zombie.
    while workdir_lock._started(sleeper.pid):
        time.sleep(0.01)
    for record in records:
        leave_lock(tmp_path, **record)
        with WorkdirLock(tmp_path, silence=SILENCE):
            pass
    sleeper.wait()
    leave_lock(tmp_path, **records[1])
    with WorkdirLock(tmp_path, silence=SILENCE):
        pass
    assert capfd.readouterr().out.count("it is gone\n") == 3


def test_a_process_number_of_another_machine_says_nothing(tmp_path, sleeper):
    sleeper.kill()
    sleeper.wait()
    # A container has its own numbers, and may have the same host name.
    leave_lock(tmp_path, process=sleeper.pid, host=socket.gethostname())
    with pytest.raises(TryAgain):
        WorkdirLock(tmp_path, silence=SILENCE).__enter__()
    leave_lock(tmp_path, process=sleeper.pid, place="")
    with pytest.raises(TryAgain):
        WorkdirLock(tmp_path, silence=SILENCE).__enter__()


def test_of_several_that_take_a_lock_over_one_succeeds(tmp_path, capfd):
    count = 8
    for start in range(10):
        folder = tmp_path / str(start)
        folder.mkdir()
        if start % 2:
            leave_lock(folder, age=SILENCE + 1)
        together = threading.Barrier(count)

        def enter(folder=folder, together=together):
            lock = WorkdirLock(folder, silence=SILENCE)
            together.wait()
            try:
                return lock.__enter__()
            except TryAgain:
                return None

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            entered = [future.result() for future in [pool.submit(enter) for _ in range(count)]]
        (lock,) = [lock for lock in entered if lock]
        lock.check()
        lock.__exit__()
        assert list(folder.iterdir()) == []
    assert capfd.readouterr().out.count("taken over") == 5


def test_a_process_that_died_during_a_takeover_is_not_waited_for_longer(tmp_path):
    leave_lock(tmp_path, age=SILENCE + 1)
    leave_text(tmp_path, "", name=TAKEOVER, age=SILENCE + 1)
    with WorkdirLock(tmp_path, silence=SILENCE):
        assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_heartbeats(tmp_path):
    with WorkdirLock(tmp_path, silence=0.1) as lock:
        path = tmp_path / FILE
        modified = path.stat().st_mtime
        for _ in range(2):
            os.utime(path, (modified - 100, modified - 100))
            while path.stat().st_mtime < modified:
                time.sleep(0.01)
        lock.check()


def test_a_heartbeat_that_fails_is_repeated(tmp_path, ends, monkeypatch):
    failures = [OSError(5, "I/O error")] * 2
    utime = os.utime

    def fail(*arguments):
        if failures:
            raise failures.pop()
        utime(*arguments)

    monkeypatch.setattr(os, "utime", fail)
    with WorkdirLock(tmp_path, silence=0.1):
        path = tmp_path / FILE
        utime(path, (0, 0))
        while path.stat().st_mtime == 0:
            time.sleep(0.01)
    assert (failures, ends) == ([], [])


@pytest.mark.parametrize("lose", [os.unlink, lambda path: path.write_text("{}", encoding="utf-8")])
def test_who_has_lost_the_lock_ends_before_writing_and_leaves_it(tmp_path, ends, lose):
    path = tmp_path / FILE
    with WorkdirLock(tmp_path, silence=SILENCE) as lock:
        lock.check()
        assert ends == []
        lose(path)
        lock.check()
        (line,) = ends
        assert line.startswith(f"{path} is no longer that of process {os.getpid()}: another run")
    assert path.exists() == (lose is not os.unlink)


def test_the_heartbeat_notices_that_the_lock_is_lost(tmp_path, ends):
    with WorkdirLock(tmp_path, silence=0.1):
        (tmp_path / FILE).unlink()
        while not ends:
            time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


class Ended(BaseException):
    """Raised where a process would have ended."""


@pytest.fixture
def raises_at_end(monkeypatch):
    def end_process(line):
        raise Ended(line)

    monkeypatch.setattr(workdir_lock, "end_process", end_process)


def test_before_joining_a_run_that_is_alive_here_ends_the_process(tmp_path, raises_at_end, sleeper):
    end_if_in_use(tmp_path, silence=SILENCE)
    end_if_in_use(tmp_path / "absent", silence=SILENCE)
    leave_lock(tmp_path, **here(sleeper.pid))
    with pytest.raises(Ended, match=rf"in use by process {sleeper.pid} on"):
        end_if_in_use(tmp_path, silence=SILENCE)
    leave_lock(tmp_path, **here(os.getpid()) | {"started": "1"})
    end_if_in_use(tmp_path, silence=SILENCE)
    leave_lock(tmp_path, age=SILENCE + 1)
    end_if_in_use(tmp_path, silence=SILENCE)


def test_before_joining_a_heartbeat_from_elsewhere_is_waited_for(tmp_path, raises_at_end):
    path = leave_lock(tmp_path, age=0.5)
    end_if_in_use(tmp_path, silence=1.0)  # none came: perhaps it is dead
    over = threading.Event()

    def beat():
        while not over.wait(0.05):
            os.utime(path)

    heartbeats = threading.Thread(target=beat)
    heartbeats.start()
    try:
        with pytest.raises(Ended, match="in use by process 4711 on node7"):
            end_if_in_use(tmp_path, silence=SILENCE)
    finally:
        over.set()
        heartbeats.join()
    assert path.exists()


def test_other_processes_of_a_run_wait_for_the_first(tmp_path, monkeypatch, ends):
    waited = []
    monkeypatch.setattr(workdir_lock.jax, "process_index", lambda: 1)
    monkeypatch.setattr(workdir_lock, "exchange", waited.append)
    leave_lock(tmp_path)
    with WorkdirLock(tmp_path, silence=SILENCE) as lock:
        lock.check()
    assert len(waited) == 1
    assert (tmp_path / FILE).exists()
    assert ends == []
