"""The commands `enhance` and `upscale` around a network that changes nothing."""

import contextlib
import json
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from ppcn_jax import command
from ppcn_jax.inference import jobs as photo_jobs
from ppcn_jax.inference.photo import Operation
from ppcn_jax.runtime.progress import heartbeat

PIXELS = np.random.default_rng(0).integers(60, 200, (20, 24, 3), np.uint8)


def keep(images):
    return [np.array(image) for image in images]


def enlarge(images):
    return [image.repeat(4, axis=0).repeat(4, axis=1) for image in images]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; returns exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def make_operation(use, model, strength, runtime):
        if use == "enhance":
            return Operation(keep, 1, ("before", "after"), strength)
        return Operation(enlarge, 4, ("bicubic", "after"))

    monkeypatch.setattr("ppcn_jax.inference.photo.make_operation", make_operation)
    # No lines while waiting, however slow the machine is.
    monkeypatch.setattr(photo_jobs, "heartbeat", lambda *_: contextlib.nullcontext())

    def run_command(*arguments, use="enhance"):
        status = 0
        try:
            command.main([use, *map(str, arguments)])
        except SystemExit as end:
            status = end.code
            if isinstance(status, str):
                status = 1
                print(end.code, file=command.sys.stderr)
        written = capsys.readouterr()
        return status, written.out, written.err

    return run_command


def write_photo(path, pixels=PIXELS, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_an_interrupted_batch_goes_on(run, tmp_path, monkeypatch):
    for name in "abc":
        write_photo(tmp_path / "in" / f"{name}.png", PIXELS[:, : 24 - ord(name) % 4])
    process = photo_jobs.process_photos
    calls = []

    def interrupt(photos, operation):
        calls.append(photos)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return process(photos, operation)

    monkeypatch.setattr(photo_jobs, "process_photos", interrupt)
    monkeypatch.setattr(photo_jobs, "_WAITING", 0)
    status, out, err = run("in", "--output", "out")
    assert (status, out) == (130, "")
    assert err == (
        "ppcn-jax enhance: interrupted; the same command goes on with the photos that have no "
        "result\n"
    )
    assert names_in(tmp_path / "out") == ["a.png"]
    status, out, err = run("in", "--output", "out")
    assert (status, err) == (0, "") and "enhanced 2 photos" in out and "1 is there already" in out
    assert names_in(tmp_path / "out") == ["a.png", "b.png", "c.png"]


def test_suffix_and_times(run, tmp_path):
    write_photo(tmp_path / "a.b.png")
    os.utime(tmp_path / "a.b.png", ns=(10**18 + 5, 10**18 + 7))
    status, _, err = run("a.b.png", "--output", "out", "--suffix", "_better", "--keep-times")
    assert (status, err) == (0, "")
    assert names_in(tmp_path / "out") == ["a.b_better.png"]
    assert (tmp_path / "out" / "a.b_better.png").stat().st_mtime_ns == 10**18 + 7
    assert run("a.b.png", "--output", "now")[0] == 0
    assert time.time() - (tmp_path / "now" / "a.b.png").stat().st_mtime < 600
    status, _, err = run("a.b.png", "--output", "out", "--suffix", "x/y")
    assert status == 2 and "'x/y' cannot be a part of a file name" in err


@pytest.mark.parametrize("use", ["enhance", "upscale"])
def test_a_comparison_is_added_to_a_result(run, tmp_path, use):
    write_photo(tmp_path / "a.png")
    assert run("a.png", "--output", "first", "--compare", use=use)[0] == 0
    assert run("a.png", "--output", "out", use=use)[0] == 0
    status, out, err = run("a.png", "--output", "out", "--compare", use=use)
    assert (status, err) == (0, "") and "1 is there already" in out
    expected = (tmp_path / "first" / "a.png.compare.png").read_bytes()
    assert (tmp_path / "out" / "a.png.compare.png").read_bytes() == expected


def test_a_comparison_with_another_file_is_refused(run, tmp_path):
    write_photo(tmp_path / "a.png")
    write_photo(tmp_path / "out" / "a.png", PIXELS[:18])
    status, _, err = run("a.png", "--output", "out", "--compare")
    assert status == 1
    assert "out/a.png is no result for a.png, which would have 24 x 20 px" in err
    assert names_in(tmp_path / "out") == ["a.png"]


def test_the_last_line_as_json(run, tmp_path):
    write_photo(tmp_path / "in" / "a.png")
    write_photo(tmp_path / "in" / "b.png")
    write_photo(tmp_path / "out" / "b.png")
    (tmp_path / "in" / "c.png").touch()
    (tmp_path / "in" / "notes.TXT").touch()
    status, out, err = run("in", "--output", "out", "--json")
    summary = json.loads(out.splitlines()[-1])
    assert status == 1 and summary.pop("seconds") >= 0
    assert summary == {
        "command": "enhance",
        "done": 1,
        "there_already": 1,
        "failed": 1,
        "failures": ["in/c.png is empty"],
        "advice": [],
        "passed_over": {".txt": 1},
        "runtime": "jax",
    }
    assert err.splitlines() == [
        "ppcn-jax enhance: in/c.png is empty",
        "ppcn-jax enhance: 1 file passed over: 1 .txt",
    ]


def test_names_as_long_as_file_systems_allow(run, tmp_path):
    longest = "é" * 125 + "x.png"  # 255 bytes
    write_photo(tmp_path / "in" / longest)
    assert run("in", "--output", "out")[0] == 0
    assert names_in(tmp_path / "out") == [longest]
    for option in (["--suffix", "-"], ["--format", "webp"], ["--compare"]):
        status, _, err = run("in", "--output", "out2", *option)
        assert status == 1 and "bytes, and the limit is 255; rename it" in err, option
    assert names_in(tmp_path / "out2") == []


def test_memory_is_checked_before_work(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "a.png")
    monkeypatch.setattr("ppcn_jax.runtime.memory.available_bytes", lambda: 10 * PIXELS.nbytes)
    assert run("a.png", "--output", "out")[0] == 0
    status, _, err = run("a.png", "--output", "large", use="upscale")
    assert status == 1 and "a.png needs more than 0.0 GB of memory, and 0.0 GB are avail" in err
    monkeypatch.setattr("ppcn_jax.runtime.memory.available_bytes", lambda: PIXELS.nbytes)
    assert "a.png needs more than" in run("a.png", "--output", "out2")[2]


def test_a_line_every_few_seconds():
    written, twice = [], threading.Event()

    class Stream:
        def write(self, text):
            written.append(text)
            if len(written) >= 4:  # two lines and their ends
                twice.set()

        def flush(self):
            pass

    with heartbeat(lambda: "3 of 60", Stream(), seconds=0.01):
        assert twice.wait(10)
    assert written[:4] == ["3 of 60", "\n", "3 of 60", "\n"]
    count = len(written)
    time.sleep(0.05)
    assert len(written) == count


def test_progress_without_a_terminal(run, tmp_path, monkeypatch, capsys):
    write_photo(tmp_path / "in" / "a.png")
    seen = threading.Event()

    class Stream:
        def write(self, text):
            lines.append(text)
            seen.set()

        def flush(self):
            pass

    lines = []
    monkeypatch.setattr(
        photo_jobs, "heartbeat", lambda line, stream: heartbeat(line, Stream(), seconds=0.01)
    )
    process = photo_jobs.process_photos
    monkeypatch.setattr(
        photo_jobs, "process_photos", lambda *work: seen.wait(10) and process(*work)
    )
    assert run("in", "--output", "out")[0] == 0
    assert lines[0] == "0 of 1 photos are finished, now a.png"
