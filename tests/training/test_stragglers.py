"""Which process is named as the slowest, and when; for real ones see tests/faults/test_straggler.py."""

import json

import numpy as np
import pytest

from ppcn_jax.training import stragglers
from ppcn_jax.training.stragglers import Stragglers


@pytest.fixture
def four(monkeypatch):
    """Returns the times of one of four processes, and the lines that it prints."""
    names = [json.dumps(f"node{k}") for k in range(4)]
    monkeypatch.setattr(stragglers, "exchange", lambda name: names)
    monkeypatch.setattr(stragglers.jax, "process_count", lambda: 4)
    lines = []
    return Stragglers(lines.append), lines


def times(host=(1, 1, 1, 1), device=(1, 1, 1, 1), step=2):
    return np.array([host, device, [step] * 4], np.float32).T / 1000


def test_a_slow_host_is_named_once_and_until_it_recovers(four):
    found, lines = four
    found.judge(times(host=(1, 1, 1.9, 1)))
    assert lines == []  # once is not long
    for _ in range(3):
        found.judge(times(host=(1, 1, 1.9, 1)))
    assert lines == [
        (
            "process 2 (node2) has been the slowest for long: it takes 1.9 ms to prepare a step (data "
            "and dispatch), the median of the others is 1 ms"
        )
    ]
    found.judge(times())
    found.judge(times())
    assert lines[1:] == [
        "process 2 (node2) is no longer slow to prepare a step (data and dispatch)"
    ]


def test_a_slow_device_is_named_and_another_after_it(four):
    found, lines = four
    for _ in range(3):
        found.judge(times(device=(4, 1, 1, 1.2)))
    for _ in range(2):
        found.judge(times(device=(1, 1, 1, 1.6)))
    assert [line.split(" has")[0] for line in lines] == ["process 0 (node0)", "process 3 (node3)"]
    assert "4 ms for a fixed computation on its devices" in lines[0]


@pytest.mark.parametrize(
    "each",
    [
        times(host=(1, 1, 1.4, 1)),  # not slow enough
        times(host=(1, 1, 1.9, 1), step=9),  # the devices do not wait for it
        times(device=(1, 1.4, 1, 1)),
    ],
    ids=["a little", "in time", "a little slower device"],
)
def test_what_holds_nothing_up_is_not_named(four, each):
    found, lines = four
    for _ in range(4):
        found.judge(each)
    assert lines == []


def test_own_times_are_those_since_the_last_measurement(four):
    found, _ = four
    found.add(3, 0.6)
    found.add(1, 0.2)
    host, device, step = found.measure()
    assert host == pytest.approx(0.2)
    assert device > 0 and step > 0
    assert found.measure()[0] == 0


def test_one_process_measures_nothing(monkeypatch):
    alone = Stragglers(pytest.fail)
    alone.add(1, 1.0)
    np.testing.assert_array_equal(alone.measure(), np.zeros(3))
    alone.judge(np.zeros((1, 3), np.float32))
