"""Processes agree on the step to stop at; for real ones see tests/test_launch.py."""

import pytest

from ppcn_jax.steps.parallel import IN_FLIGHT
from ppcn_jax.training import stopping
from ppcn_jax.training.stopping import Stopping


@pytest.fixture
def left(monkeypatch):
    """What processes have left for each other; the first text of a name stays."""
    texts = {}
    monkeypatch.setattr(stopping.jax, "process_count", lambda: 2)
    monkeypatch.setattr(stopping, "write_text", texts.setdefault)
    monkeypatch.setattr(stopping, "read_text", texts.get)
    return texts


def test_one_process_stops_at_once():
    is_stopping = Stopping(1)
    assert not is_stopping(False, 4, 5)
    assert is_stopping(True, 5, 6)


@pytest.mark.parametrize("length", [1, 3, 5, 20])
@pytest.mark.parametrize("behind", [0, 1])
@pytest.mark.parametrize("signaled", range(1, 41, 3))
def test_both_stop_at_the_same_step(left, length, behind, signaled):
    # Process 0 runs ahead as far as it can: a step of it returns when the step `IN_FLIGHT` before, or
    # the last call, is finished, which the other process must have dispatched.
    ahead = -(-max(IN_FLIGHT, length) // length) * length
    positions, ends = [0, 0], {}
    both = [Stopping(length), Stopping(length)]
    for _ in range(500):
        fast = len(ends) == 0 and positions[0] - positions[1] < ahead
        turn = 1 if 0 in ends or not fast else 0
        before = positions[turn]
        positions[turn] += length
        requested = turn == behind and positions[turn] >= signaled
        if both[turn](requested, before, positions[turn]):
            ends[turn] = positions[turn]
            if len(ends) == 2:
                break
            assert turn == 0 or positions[0] <= ends[1]
    assert ends[0] == ends[1]
    assert ends[0] - signaled <= 16 + 4 * length + ahead


def test_two_signals_are_one(left):
    first, second = Stopping(1), Stopping(1)
    for step in range(1, 30):
        stops = [each(step >= 3, step - 1, step) for each in (first, second)]
        assert stops[0] == stops[1] == (step >= 16)
        if all(stops):
            break
    assert list(left) == ["stop/step"]
