"""The trace of some steps: which ones, what is in it, and that it changes nothing."""

import jax
import numpy as np
import pytest

from ppcn_jax.training import profile
from ppcn_jax.training.profile import STEP, Profile
from tests.tiny_runs import rows, run


def test_a_traced_run_has_the_same_bits_and_a_trace_of_its_steps(averaged, tmp_path, capsys):
    config, workdir, expected = averaged
    config = config.copy_and_resolve_references()
    config.profile = {"first_step": 3, "steps": 2}
    state = run(config, tmp_path)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    assert rows(tmp_path) == rows(workdir)
    (file,) = (tmp_path / "profile" / "plugins" / "profile").rglob("*.xplane.pb")
    trace = jax.profiler.ProfileData.from_file(str(file))
    events = [event for plane in trace.planes for line in plane.lines for event in line.events]
    marked = [dict(event.stats)["step_num"] for event in events if event.name == STEP]
    assert marked == [3, 4]
    assert f"wrote a trace to {tmp_path / 'profile'}" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def tracer(monkeypatch):
    """Replaces JAX's profiler; a list of what it does and of the lines that are printed."""
    done = []
    monkeypatch.setattr(
        profile.jax.profiler, "start_trace", lambda folder, **options: done.append("start")
    )
    monkeypatch.setattr(profile.jax.profiler, "stop_trace", lambda: done.append("stop"))
    return done


def make_calls(made, ends, settle=lambda: None):
    """Return the ends of the calls between the start and the end of the trace."""
    for end in ends:
        made.before_call(end, settle)
        yield end
        made.after_call(end, settle)


@pytest.mark.parametrize(
    ("start", "ends", "traced"),
    [
        (0, range(1, 9), [3, 4, 5]),
        (0, [2, 4, 6, 8], [4, 6]),  # complete calls
        (0, [8], [8]),
        (3, range(4, 9), [4, 5]),  # resumed: those that are left
        (5, range(6, 9), []),
        (0, [1, 2, 3], [3]),  # stopped by a signal
    ],
    ids=str,
)
def test_the_trace_has_the_calls_with_these_steps(tracer, tmp_path, start, ends, traced):
    made = Profile(tmp_path, first_step=3, steps=3, start=start, say=lambda line: None)
    for end in make_calls(made, ends, settle=lambda: tracer.append("settle")):
        tracer.append(end)
    made.close()
    made.close()
    expected = [*traced]
    if traced:
        last = ["settle"] if traced[-1] >= 5 else []
        expected = ["settle", "start", *traced, *last, "stop"]
    inside = [each for each in tracer if isinstance(each, str) or each in traced]
    assert inside == expected


def test_steps_that_were_made_before_are_named(tracer, tmp_path):
    lines = []
    Profile(tmp_path, first_step=3, steps=3, start=5, say=lines.append)
    assert "no trace is made, because steps 3 to 5 were made before" in lines[0]
    (tmp_path / "profile").mkdir()
    Profile(tmp_path, first_step=3, steps=3, start=5, say=lines.append)
    Profile(tmp_path, first_step=0, steps=3, start=5, say=lines.append)
    assert len(lines) == 1


def test_a_trace_that_cannot_be_made_or_written_is_a_line(tracer, tmp_path, monkeypatch):
    lines = []
    settings = {"first_step": 1, "steps": 1, "start": 0, "say": lines.append}

    def refuse(folder, **options):
        raise RuntimeError("Only one profile may be run at a time.")

    with monkeypatch.context() as patch:
        patch.setattr(profile.jax.profiler, "start_trace", refuse)
        assert list(make_calls(Profile(tmp_path, **settings), [1, 2])) == [1, 2]
    assert lines == ["there is no trace of steps 1 to 1: Only one profile may be run at a time."]

    def start(folder, **options):
        (profile.pathlib.Path(folder) / "host.xplane.pb").touch()

    monkeypatch.setattr(profile.jax.profiler, "start_trace", start)
    (tmp_path / "profile").touch()
    assert list(make_calls(Profile(tmp_path, **settings), [1, 2])) == [1, 2]
    assert "there is no trace of steps 1 to 1: " in lines[1] and "profile" in lines[1]


def test_each_process_has_a_folder(tracer, tmp_path, monkeypatch):
    monkeypatch.setattr(profile.jax, "process_count", lambda: 2)
    monkeypatch.setattr(profile.jax, "process_index", lambda: 1)
    lines = []
    made = Profile(tmp_path, first_step=1, steps=1, start=0, say=lines.append)
    list(make_calls(made, [1]))
    assert f"wrote a trace to {tmp_path / 'profile' / 'process1'}" in lines[0]
