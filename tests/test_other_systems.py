"""What only Linux has may be missing: each use of it is listed here and has a substitute.

Nothing here runs on another system. What those lack is taken away.
"""

import ast
import builtins
import io
import os
import pathlib
import sys
import time
import types

import numpy as np
import psutil
import pytest

from data.pictures import memory as data_memory
from data.pictures import progress, stored_frames
from data.pictures.tiles import read_window, write_tiles
from ppcn_jax import command
from ppcn_jax.benchmark import child
from ppcn_jax.runtime import errors, files, lock_file, machine, malloc, memory, workdir_lock
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights import mat_and_h5

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SOURCES = [
    *(path for top in ("ppcn_jax", "configs", "data") for path in (REPOSITORY / top).rglob("*.py")),
    REPOSITORY / "launch.py",
]
# What Windows or macOS lack: modules, members of `os`, signals.
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
MEMBERS = {
    *("chown", "fchmod", "fork", "forkpty", "geteuid", "getloadavg", "getuid", "kill", "killpg"),
    *("mkfifo", "mknod", "nice", "openpty", "posix_fadvise", "posix_spawn", "pread", "preadv"),
    *("pwrite", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "sendfile", "setsid"),
    *("splice", "statvfs", "symlink", "sync", "sysconf", "uname", "wait", "wait4", "waitpid"),
}
EVERYWHERE = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
FOLDERS = ("/proc", "/sys", "/dev", "/tmp", "/etc")
USES = {
    ("data/pictures/memory.py", "/proc/meminfo"),
    ("data/pictures/memory.py", "/proc/self/statm"),
    ("data/pictures/memory.py", "/sys/fs/cgroup"),
    ("data/pictures/memory.py", "os.sysconf"),
    ("data/pictures/progress.py", "os.sched_getaffinity"),
    ("ppcn_jax/benchmark/child.py", "/proc/self/status"),
    ("ppcn_jax/benchmark/child.py", "resource"),
    ("ppcn_jax/runtime/machine.py", "/proc/cpuinfo"),
    ("ppcn_jax/runtime/machine.py", "/proc/self/ns/pid"),
    ("ppcn_jax/runtime/machine.py", "/proc/sys/kernel/random/boot_id"),
    ("ppcn_jax/runtime/machine.py", "os.sched_getaffinity"),
    ("ppcn_jax/runtime/malloc.py", "ctypes.CDLL"),
    ("ppcn_jax/runtime/memory.py", "/proc/self/cgroup"),
    ("ppcn_jax/runtime/memory.py", "/sys/fs/cgroup"),
    ("ppcn_jax/runtime/start.py", "/dev"),
    ("ppcn_jax/runtime/workdir_lock.py", "/proc"),
    ("ppcn_jax/weights/mat_and_h5.py", "resource"),
}


def uses(path):
    """What a module uses that only some systems have."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in MODULES)
            case ast.ImportFrom(module=module) if module in MODULES:
                yield module
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in MEMBERS:
                yield f"os.{name}"
            case ast.Attribute(value=ast.Name(id="ctypes"), attr="CDLL"):
                yield "ctypes.CDLL"
            case ast.Attribute(value=ast.Name(id="signal"), attr=name):
                if name.startswith("SIG") and name.isupper() and name not in EVERYWHERE:
                    yield f"signal.{name}"
            case ast.Constant(value=str(text)) if f"{text}/".startswith(
                tuple(f"{folder}/" for folder in FOLDERS)
            ):
                yield text


def test_uses_of_what_only_some_systems_have_are_known():
    found = {
        (path.relative_to(REPOSITORY).as_posix(), use) for path in SOURCES for use in uses(path)
    }
    assert found == USES


@pytest.fixture
def absent(tmp_path):
    return tmp_path / "proc" / "absent"


def test_cores_are_counted_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.core_count() == progress._core_count() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.core_count() == 1


def test_a_processor_without_proc_has_a_name(monkeypatch, absent):
    monkeypatch.setattr(machine, "_CPUINFO", absent)
    assert machine.processor_digest() == "cpu"
    assert machine.device_name().endswith("cores")


def test_memory_without_proc_is_that_of_the_machine(monkeypatch, absent):
    monkeypatch.setattr(memory, "_CGROUP", absent)
    monkeypatch.setattr(memory, "_OWN_GROUPS", absent)
    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total
    for name in ("_MEMINFO", "_STATM", "_CGROUP"):
        monkeypatch.setattr(data_memory, name, absent)
    monkeypatch.delattr(os, "sysconf", raising=False)
    monkeypatch.setattr(data_memory, "_share", None)
    data_memory.share_memory(2)
    assert data_memory.available_bytes() is None


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_the_c_library_is_asked_on_linux_alone(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(malloc.ctypes, "CDLL", None)
    assert malloc.keep_freed_memory() is False


def without_modules(monkeypatch, *names):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)  # its import raises ImportError


def test_peak_memory(monkeypatch, absent):
    expected = child.peak_memory()
    usage = types.SimpleNamespace(peak_wset=7 * expected)
    with monkeypatch.context() as windows:
        without_modules(windows, "resource")
        windows.setattr(psutil.Process, "memory_info", lambda self: usage)
        assert child.peak_memory() == 7 * expected
    monkeypatch.setattr(child.pathlib, "Path", lambda _: absent)
    monkeypatch.setattr(sys, "platform", "darwin")  # counts bytes, and Linux kilobytes
    assert 0 < child.peak_memory() < expected


def test_damaged_weights_are_read_without_a_limit_of_memory(monkeypatch, tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "w.mat", {"layers": np.empty((1, 0), object)})
    without_modules(monkeypatch, "resource")
    written = types.SimpleNamespace(buffer=io.BytesIO())
    monkeypatch.setattr(sys, "stdout", written)
    mat_and_h5._main(str(tmp_path / "w.mat"))
    with np.load(io.BytesIO(written.buffer.getvalue()), allow_pickle=False) as archive:
        assert dict(archive) == {}


def test_a_run_on_a_machine_without_proc_counts_by_its_heartbeat(monkeypatch, tmp_path):
    read_text = pathlib.Path.read_text

    def no_proc(path, *arguments, **options):
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(path)
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "read_text", no_proc)
    assert machine.place() == ""
    monkeypatch.delattr(os, "kill", raising=False)
    with workdir_lock.WorkdirLock(tmp_path, silence=30):
        assert not workdir_lock._is_here(workdir_lock._record())
        with pytest.raises(errors.TryAgain, match="in use by process"):
            workdir_lock.WorkdirLock(tmp_path, silence=30).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_time_is_set_by_name(monkeypatch, tmp_path):
    utime = os.utime

    def by_name(path, *arguments):
        if isinstance(path, int):
            raise TypeError("utime: path should be string, bytes or os.PathLike, not int")
        utime(path, *arguments)

    def with_name(**options):  # as on Windows, where a temporary file has a name
        return tempfile.NamedTemporaryFile(**options)

    import tempfile

    monkeypatch.setattr(os, "utime", by_name)
    monkeypatch.setattr(lock_file.tempfile, "TemporaryFile", with_name)
    lock = lock_file.LockFile(tmp_path)
    assert lock.create(b"one")
    utime(lock.path, (0, 0))
    content, age = lock.read()
    assert content == b"one" and age > 1e6
    assert lock.holds(b"one", beat=True)
    assert abs(lock.path.stat().st_mtime - time.time()) < 60
    assert lock.replace(b"one", b"two", patience=30)
    lock.remove(b"two")
    assert list(tmp_path.iterdir()) == []


class OpenFile:
    """`pathlib.Path.replace` while another program has the file open, for so many calls."""

    def __init__(self, monkeypatch, calls):
        self.left, rename = calls, pathlib.Path.replace

        def replace(path, target):
            self.left -= 1
            if self.left >= 0:
                raise PermissionError(13, "The process cannot access the file", str(target))
            return rename(path, target)

        monkeypatch.setattr(pathlib.Path, "replace", replace)


def test_windows_waits_for_those_that_have_a_file_open(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "WINDOWS", True)
    OpenFile(monkeypatch, calls=3)
    files.write_bytes(tmp_path / "result.png", b"new")
    assert (tmp_path / "result.png").read_bytes() == b"new"
    monkeypatch.setattr(files, "_PATIENCE", 0.0)
    OpenFile(monkeypatch, calls=10**6)
    with pytest.raises(PermissionError):
        files.write_bytes(tmp_path / "result.png", b"newer")
    assert [path.name for path in tmp_path.iterdir()] == ["result.png"]
    assert (tmp_path / "result.png").read_bytes() == b"new"


def test_other_systems_do_not_wait(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "WINDOWS", False)
    file = OpenFile(monkeypatch, calls=1)
    with pytest.raises(PermissionError):
        files.write_bytes(tmp_path / "result.png", b"new")
    assert file.left == 0


def test_frames_are_read_without_pread(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "pread", raising=False)
    frame = np.random.default_rng(0).integers(0, 256, (70, 130, 3), np.uint8)
    write_tiles(tmp_path / "frame", [frame])
    (read,) = read_window(tmp_path / "frame", lambda shape: (slice(3, 69), slice(60, 130)))
    np.testing.assert_array_equal(read, frame[3:69, 60:130])


def test_frames_that_another_process_stored_and_reads_are_not_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(stored_frames, "_LEFT_FREE", 0)
    frames = (np.zeros((5, 6, 3), np.uint8),)
    stored = stored_frames.StoredFrames(str, 1)
    stored.write(0, frames)
    OpenFile(monkeypatch, calls=1)
    stored.write(0, frames)
    assert stored.shape(0) == (5, 6, 3) and not stored._stopped
    OpenFile(monkeypatch, calls=1)
    stored.write(1, frames)  # there is no such file: the folder cannot be written
    assert stored._stopped


@pytest.mark.parametrize(
    "path",
    [
        *("a?b", "re:sults", "x/con", "x/Nul.cube", "trailing.", "space /x", 'a"b', "COM1.onnx"),
        *("lpt³", "tab\tbed", "<look>.png", "C:\\photos\\aux", "C:\\a|b", "x*"),
    ],
)
def test_names_that_windows_refuses(monkeypatch, path):
    monkeypatch.setattr(files, "WINDOWS", True)
    with pytest.raises(InputError, match=r"^--output .*Windows does not allow the name") as raised:
        files.check_file_name(path, "--output")
    assert "\n" not in str(raised.value) or "\n" in path


@pytest.mark.parametrize(
    "path",
    [
        *("better", "..\\x", "../x/y.z", "C:\\photos\\better", ".", "", "icon", "console.png"),
        *("gs://bucket/run", "\\\\host\\share\\x", "nul1", "größer 2", ".hidden", "COM"),
    ],
)
def test_names_that_windows_allows(monkeypatch, path):
    monkeypatch.setattr(files, "WINDOWS", True)
    files.check_file_name(path, "--output")


def test_other_systems_allow_them_all(monkeypatch):
    monkeypatch.setattr(files, "WINDOWS", False)
    files.check_file_name("con:?", "--output")


@pytest.mark.parametrize(
    "arguments",
    [
        ["enhance", "no.jpg", "--output", "a?"],
        ["upscale", "no.jpg", "--output", "aux"],
        ["lut", "no.jpg", "--output", "nul.cube"],
        ["pair", "no", "no", "--output", "pa:irs"],
        ["export", "no", "x<.onnx"],
        ["convert", "no", "prn.safetensors"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_names_them_before_work(monkeypatch, arguments):
    monkeypatch.setattr(files, "WINDOWS", True)
    with pytest.raises(SystemExit, match=f"ppcn-jax {arguments[0]}: .*Windows does not allow"):
        command.main(arguments)


def test_text_that_a_console_lacks_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    errors.escape_what_cannot_be_printed()
    builtins.print("größer: 写真.jpg")
    sys.stdout.flush()
    assert written.getvalue().splitlines() == ["größer: \\u5199\\u771f.jpg".encode("cp1252")]
