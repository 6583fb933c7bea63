"""The background threads of the loaders."""

import gc
import itertools
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import data


class Breaking:
    """A source of forty pairs, one of which cannot be read."""

    names = tuple(str(i) for i in range(40))
    crop = 4

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        if index == 7:
            raise data.DataError("pair 7 is missing")
        return np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_exception_in_the_thread_reaches_the_consumer():
    batches = data.batches(Breaking(), seed=0, batch_size=4)
    with pytest.raises(data.DataError, match="pair 7 is missing"):
        list(itertools.islice(batches, 10))
    assert not loader_threads()


@pytest.mark.parametrize("end", ["close", "drop"])
def test_thread_ends_with_the_iterator(make, end):
    batches = data.batches(make(source="synthetic"), seed=0, batch_size=4)
    next(batches), next(batches)  # prefetching starts after the first batch
    assert loader_threads()
    if end == "close":
        batches.close()
    del batches
    gc.collect()
    assert not loader_threads()


OPEN_AT_EXIT = """
import data
source = data.make_source(source="synthetic", dir="", test_dir="", phone="", input="", target="",
                          holdout=0, validation=0, crop=8, scale=4, in_memory=True, split="train")
batches = data.batches(source, seed=0, batch_size=4)
next(batches)
"""


def test_iterator_left_open_at_exit_is_silent():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPEN_AT_EXIT],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert not result.stderr


def test_no_thread_starts_before_the_first_batch(make):
    batches = data.batches(make(source="synthetic"), seed=0, batch_size=4)
    assert not loader_threads()
    batches.close()
