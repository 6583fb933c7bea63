"""Rows in metrics.jsonl, TensorBoard event files, and the console."""

import io
import json
import math
import re
import struct

import numpy as np
import pytest
import rich.console
from PIL import Image
from tensorboardX.proto import event_pb2

from ppcn_jax.training.logs import METRICS, Progress, Recorder


def rows(workdir):
    return [
        json.loads(line) for line in (workdir / METRICS).read_text(encoding="utf-8").splitlines()
    ]


def events(workdir):
    """Events of all files, oldest first, read from TFRecords without TensorFlow."""
    found = []
    for path in (workdir / "tensorboard").glob("events.out.tfevents.*"):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack_from("<Q", content)
            # The length and its checksum come before the event, the event's checksum after it.
            found.append(event_pb2.Event.FromString(content[12 : 12 + length]))
            content = content[12 + length + 4 :]
    return sorted(found, key=lambda event: event.wall_time)


def scalars(workdir):
    return {
        (value.tag, event.step): value.simple_value
        for event in events(workdir)
        for value in event.summary.value
        if value.HasField("simple_value")
    }


@pytest.fixture
def recorder(tmp_path):
    """Creates recorders in tmp_path and closes them."""
    opened = []

    def make(start_step=0):
        opened.append(Recorder(tmp_path, start_step=start_step))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_a_row_is_written_at_once(tmp_path, recorder):
    record = recorder()
    record.scalars(50, "train", {"total": 1.5, "ssim": 0.25})
    record.scalars(100, "test", {"psnr": 22.0})
    assert rows(tmp_path) == [
        {"step": 50, "split": "train", "total": 1.5, "ssim": 0.25},
        {"step": 100, "split": "test", "psnr": 22.0},
    ]


def test_nothing_is_written_without_the_lock(tmp_path):
    lost = [False]

    def check_lock():
        if lost[0]:
            raise SystemExit

    record = Recorder(tmp_path, start_step=0, check_lock=check_lock)
    record.scalars(1, "train", {"total": 1.5})
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    lost[0] = True
    image = np.zeros((6, 9, 3), np.uint8)
    for write in (
        lambda: record.scalars(2, "train", {"total": 1.0}),
        lambda: record.picture(2, "test", image),
        record.close,
        lambda: Recorder(tmp_path, start_step=0, check_lock=check_lock),
    ):
        with pytest.raises(SystemExit):
            write()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_tensorboard_shows_the_same_numbers(tmp_path, recorder):
    record = recorder()
    record.scalars(50, "train", {"total": 1.5, "ssim": 0.25})
    record.scalars(100, "test", {"psnr": 22.0})
    record.close()
    assert scalars(tmp_path) == {
        ("train/total", 50): 1.5,
        ("train/ssim", 50): 0.25,
        ("test/psnr", 100): 22.0,
    }
    assert events(tmp_path)[0].file_version == "brain.Event:2"


def test_tensorboard_shows_the_pictures(tmp_path, recorder):
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    record = recorder()
    record.picture(7, "test", image)
    record.close()
    (event,) = [event for event in events(tmp_path) if event.summary.value]
    assert (event.step, event.summary.value[0].tag) == (7, "test")
    logged = Image.open(io.BytesIO(event.summary.value[0].image.encoded_image_string))
    np.testing.assert_array_equal(np.asarray(logged), image)


def test_numbers_that_json_lacks_are_written_as_text(tmp_path, recorder):
    record = recorder()
    record.scalars(1, "train", {"a": math.inf, "b": -math.inf, "c": math.nan, "d": 0.5})
    record.scalars(2, "train", {"a": 1.0})
    (text, _) = (tmp_path / METRICS).read_text(encoding="utf-8").splitlines()
    row = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert row == {"step": 1, "split": "train", "a": "inf", "b": "-inf", "c": "nan", "d": 0.5}
    assert [float(row[name]) for name in "ab"] == [math.inf, -math.inf]
    assert math.isnan(float(row["c"]))


ROWS_AFTER_CHECKPOINT = ['{"step": 40, "split": "train", "total": 9.0}\n', '{"step": 50, "sp']


@pytest.mark.parametrize(
    "left_behind",
    [[], ROWS_AFTER_CHECKPOINT[:1], ROWS_AFTER_CHECKPOINT[1:], ROWS_AFTER_CHECKPOINT],
    ids=str,
)
def test_resuming_removes_rows_after_the_checkpoint(tmp_path, recorder, left_behind):
    record = recorder()
    for step in (10, 20, 30):
        record.scalars(step, "train", {"total": float(step)})
    record.close()
    with (tmp_path / METRICS).open("a", encoding="utf-8") as file:
        file.writelines(left_behind)
    record = recorder(start_step=20)
    assert [row["step"] for row in rows(tmp_path)] == [10, 20]
    record.scalars(30, "train", {"total": 3.0})
    assert rows(tmp_path)[1:] == [
        {"step": 20, "split": "train", "total": 20.0},
        {"step": 30, "split": "train", "total": 3.0},
    ]


def test_resuming_hides_later_events(tmp_path, recorder):
    record = recorder()
    record.scalars(20, "train", {"total": 1.0})
    record.close()
    # An event file is named after the second in which it was created.
    for path in (tmp_path / "tensorboard").iterdir():
        path.rename(path.with_name("events.out.tfevents.1700000000.host"))
    recorder(start_step=20).close()
    starts = [e.step for e in events(tmp_path) if e.HasField("session_log")]
    assert starts == [21]  # TensorBoard hides events from this step on
    assert scalars(tmp_path) == {("train/total", 20): 1.0}


def test_a_fresh_run_hides_nothing(tmp_path, recorder):
    recorder().close()
    assert not [e for e in events(tmp_path) if e.HasField("session_log")]
    assert rows(tmp_path) == []


def progress(total, start):
    file = io.StringIO()
    # Lines must not be wrapped at the width of a console that does not exist.
    console = rich.console.Console(file=file, force_terminal=False, width=40)
    return Progress(total, start, console), file


def test_a_line_has_step_losses_and_remaining_time():
    bar, file = progress(total=1000, start=0)
    with bar:
        bar.advance(1)
        bar.advance(2)
        bar.line(2, {"ssim": 0.123456, "color": 41.0, "total": 2.5e-7})
        printed = file.getvalue()
    assert re.fullmatch(
        r"step 2/1000  ssim 0.1235  color 41  total 2.5e-07  \[\d+ ms/step, \d+:\d\d left\]\n",
        printed,
    )


@pytest.mark.parametrize("start", [0, 500])
def test_the_first_step_gives_no_time_estimate(start):
    bar, file = progress(total=1000, start=start)
    with bar:
        bar.advance(start + 1)
        bar.line(start + 1, {"total": 1.0})
        assert file.getvalue() == f"step {start + 1}/1000  total 1\n"


def test_the_bar_ends_with_the_step_count():
    bar, file = progress(total=4, start=2)
    with bar:
        bar.advance(3)
        bar.line(3, {"total": 7.25})
        bar.advance(4)
    last = file.getvalue().splitlines()[-1]
    assert last.startswith("training") and "4/4" in last


def test_a_long_text_is_not_wrapped():
    bar, file = progress(total=1, start=0)
    text = "training the teacher (released preset) from the start to 20000 on 1 cpu device(s)"
    with bar:
        bar.say(text)
    assert text in file.getvalue().splitlines()


def test_a_quiet_console_prints_nothing():
    console = rich.console.Console(file=(file := io.StringIO()), quiet=True)
    with Progress(10, 0, console) as bar:
        bar.advance(1)
        bar.say("text")
        bar.line(1, {"total": 1.0})
    assert file.getvalue() == ""
