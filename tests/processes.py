"""launch.py in processes of its own, for tests: start it, watch what it writes, read how it ended."""

import json
import pathlib
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 300
# Of a process: one device, threads for virtual ones, what it compiles for others that follow.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "",
    "NPROC": "32",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}


class Launched(subprocess.Popen):
    """A process that never waits for a reader: its output goes to two new files of a folder."""

    def __init__(self, command, environment, folder):
        self.files = [pathlib.Path(folder, name) for name in ("stdout", "stderr")]
        with self.files[0].open("xb") as stdout, self.files[1].open("xb") as stderr:
            super().__init__(command, cwd=REPOSITORY, env=environment, stdout=stdout, stderr=stderr)

    def told(self):
        """(stdout, stderr) so far."""
        return tuple(file.read_text() for file in self.files)


def launch_command(config, workdir, *arguments, settings):
    """The command line of launch.py, with fields of the configuration."""
    fields = [f"--config.{field}={value}" for field, value in settings.items()]
    command = [sys.executable, "launch.py", f"--config=configs/{config}"]
    return [*command, f"--workdir={workdir}", *fields, *arguments]


def end(process, timeout=TIMEOUT):
    """Wait; (exit status, stdout, stderr)."""
    status = process.wait(timeout)
    return status, *process.told()


def wait_until(condition, process):
    """Wait for something that a running process does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, end(process)
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rows(workdir):
    """All that are complete, as a running process may be writing one; those of times left out."""
    path = workdir / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    complete = (json.loads(line) for line in lines if line.endswith("\n"))
    return [row for row in complete if row["split"] != "time"]


def last_step(workdir):
    """Of the rows; 0 while there is none."""
    return max((row["step"] for row in rows(workdir)), default=0)
