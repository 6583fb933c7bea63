"""A process that is slower than the others for long is named."""

import signal
import threading
import time

import pytest

from ppcn_jax.runtime.processes import START_AGAIN
from tests.faults.test_processes import train_in_pair
from tests.processes import end, last_step, wait_until


@pytest.mark.long
def test_a_process_that_is_suspended_most_of_the_time_is_named(launch, tmp_path):
    settings = {"train.steps": 100_000, "checkpoint.every": 20, "log.every": 20}
    pair = train_in_pair(launch, tmp_path, **settings)
    wait_until(lambda: last_step(tmp_path), pair[0])  # compiled, and both are connected
    over = threading.Event()

    def slow_down():
        while not over.is_set():
            pair[1].send_signal(signal.SIGSTOP)
            time.sleep(0.09)
            pair[1].send_signal(signal.SIGCONT)
            time.sleep(0.01)

    slower = threading.Thread(target=slow_down)
    slower.start()
    try:
        wait_until(lambda: "process 1 (" in pair[0].output()[0], pair[0])
    finally:
        over.set()
        slower.join()
    line = next(x for x in pair[0].output()[0].splitlines() if x.startswith("process 1 ("))
    assert "has been the slowest for long: it takes " in line
    for process in pair:
        process.terminate()
    assert [end(process)[0] for process in pair] == [START_AGAIN] * 2
