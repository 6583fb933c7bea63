"""Run launch.py in processes of its own: start it, watch what it writes, read how it ended."""

import json
import os
import pathlib
import subprocess
import sys
import time

from ppcn_jax.runtime.appended import read

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 300
# `make test` turns LLVM's optimizations off, which take half of its time.
COMPILATION = os.environ.get("PPCN_TEST_XLA_FLAGS", "")
# One device for each process, threads for virtual devices, and a cache of compiled programs.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": COMPILATION,
    "NPROC": "32",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}


class Launched(subprocess.Popen):
    """A process that writes its output to two new files in a folder, so that it never blocks."""

    def __init__(self, command, environment, folder):
        self.files = [pathlib.Path(folder, name) for name in ("stdout", "stderr")]
        with self.files[0].open("xb") as stdout, self.files[1].open("xb") as stderr:
            super().__init__(command, cwd=REPOSITORY, env=environment, stdout=stdout, stderr=stderr)

    def output(self):
        """Return (stdout, stderr) so far."""
        return tuple(file.read_text(encoding="utf-8") for file in self.files)


def launch_command(config, workdir, *arguments, settings):
    """Return the command line of launch.py with `settings` as fields of the configuration."""
    fields = [f"--config.{field}={value}" for field, value in settings.items()]
    command = [sys.executable, "launch.py", f"--config=configs/{config}"]
    return [*command, f"--workdir={workdir}", *fields, *arguments]


def end(process, timeout=TIMEOUT):
    """Wait for the process to end; return (exit status, stdout, stderr)."""
    status = process.wait(timeout)
    return status, *process.output()


def wait_until(condition, process):
    """Wait until a running process has made `condition()` true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, end(process)
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rows(workdir):
    """Return the rows of metrics.jsonl without those of times.

    A running process may be writing the last row, which is then skipped.
    """
    lines = read(workdir / "metrics.jsonl").splitlines(keepends=True)
    complete = (json.loads(line) for line in lines if line.endswith(b"\n"))
    return [row for row in complete if row["split"] != "time"]


def last_step(workdir):
    """Return the last step that has a row, or 0."""
    return max((row["step"] for row in rows(workdir)), default=0)
