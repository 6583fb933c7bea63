"""The batches of each call, prepared in advance or when they are needed."""

import itertools
import threading

import numpy as np
import pytest

from ppcn_jax.training.feed import feed
from ppcn_jax.training.plan import Plan

PLAN = Plan(13, 4, log_every=10, evaluate_every=20, checkpoint_every=20)


def stream(start, read=None, fail_at=None):
    for step in itertools.count(start):
        if step == fail_at:
            raise OSError(f"batch {step} cannot be read")
        if read is not None:
            read.append((step, threading.current_thread() is threading.main_thread()))
        images = np.full((1, 1), step)
        yield {"input": images, "target": images, "id": images}


def put(batches):
    assert all(batch.keys() == {"input", "target"} for batch in batches)
    return [batch["input"].item() for batch in batches]


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
@pytest.mark.parametrize("start", [0, 3, 12, 13])
def test_all_batches_come_in_order(ahead, start):
    calls = list(feed(stream(start), PLAN, start, put, ahead=ahead))
    assert list(itertools.chain.from_iterable(placed for _, placed, _ in calls)) == [
        *range(start, 13)
    ]
    assert [step for step, *_ in calls] == [placed[-1] + 1 for _, placed, _ in calls]
    assert [last["input"].item() for *_, last in calls] == [placed[-1] for _, placed, _ in calls]


def test_in_advance_means_in_a_thread_and_after_the_first_call():
    read = []
    calls = feed(stream(0, read), PLAN, 0, put, ahead=2)
    assert next(calls)[0] == 4
    assert read == [(step, True) for step in range(4)]
    assert next(calls)[0] == 8
    calls.close()  # waits for what has begun
    assert 8 <= len(read) <= 10
    assert not any(main for _, main in read[4:])


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_of_the_data_is_raised_at_its_call(ahead):
    calls = feed(stream(0, fail_at=9), PLAN, 0, put, ahead=ahead)
    assert [next(calls)[0], next(calls)[0], next(calls)[0]] == [4, 8, 9]
    with pytest.raises(OSError, match="batch 9"):
        next(calls)
