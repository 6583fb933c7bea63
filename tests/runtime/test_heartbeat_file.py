"""The file that shows a liveness probe that a process is alive."""

import os
import time

from ppcn_jax.runtime.heartbeat_file import keep_fresh


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_file_is_touched_again_and_again(tmp_path):
    file = tmp_path / "heartbeat"
    keep_fresh(file, every=0.01)
    wait_until(file.exists)
    for _ in range(2):
        os.utime(file, (0, 0))
        wait_until(lambda: file.stat().st_mtime > 0)
    file.unlink()
    wait_until(file.exists)
