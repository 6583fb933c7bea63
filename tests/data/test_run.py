"""The data of a run that is resumed: other pictures, added ones, and older workdirs."""

import itertools
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import data
from tests.data.sample_pictures import write_pairs

FIELDS = {
    "source": "pairs",
    "test_dir": "",
    "phone": "iphone",
    "input": "phone",
    "target": "camera",
    "holdout": 2,
    "validation": 0,
    "crop": 8,
    "scale": 4,
    "in_memory": True,
}
FINGERPRINTS = "fingerprints.json"
NAMES = [f"{number}.jpg" for number in range(2, 11)]
SIZE = (40, 36)


@pytest.fixture
def pairs(tmp_path):
    """A folder with nine pairs, 2.jpg to 10.jpg, in `phone` and `camera`."""
    write_pairs(tmp_path / "pairs/phone", tmp_path / "pairs/camera", NAMES, size=SIZE)
    return tmp_path / "pairs"


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def open_run(folder, workdir, **changed):
    fields = {**FIELDS, "dir": folder, **changed}
    return data.TrainingData(fields, workdir, seed=0, batch_size=4, unreadable=0.5)


def start(folder, workdir, **changed):
    stream = open_run(folder, workdir, **changed).batches(0)
    taken = list(itertools.islice(stream, 3))
    stream.close()
    return taken


def other_folder(tmp_path):
    """Other pictures under the names of the fixture `pairs`."""
    other = tmp_path / "other"
    write_pairs(other / "phone", other / "camera", NAMES, first_seed=50, size=SIZE)
    return other


def photos_fields(folder):
    return {"source": "high_resolution", "dir": folder / "camera", "input": "", "target": ""}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("photos", [True, False])
def test_other_folder_under_the_same_names_is_refused(pairs, workdir, tmp_path, photos, in_memory):
    other = other_folder(tmp_path)
    of = photos_fields if photos else lambda folder: {"dir": folder}
    start(None, workdir, **of(pairs))
    before = {path: path.read_bytes() for path in workdir.iterdir()}
    with pytest.raises(data.DataError) as error:
        open_run(None, workdir, **of(other), in_memory=in_memory)
    assert f"7 of 7 train records in {of(other)['dir']} are other files" in str(error.value)
    assert "for example 2.jpg" in str(error.value) and f"run in {workdir}" in str(error.value)
    assert {path: path.read_bytes() for path in workdir.iterdir()} == before
    # If the pictures are the same, the user can say so.
    (workdir / FINGERPRINTS).unlink()
    start(None, workdir, **of(other))
    assert (workdir / FINGERPRINTS).read_bytes() != before[workdir / FINGERPRINTS]


def test_moved_folder_is_the_same_folder(pairs, workdir, tmp_path):
    batches = start(pairs, workdir)
    moved = tmp_path / "moved"
    moved.mkdir()
    for side in ("phone", "camera"):
        shutil.copytree(pairs / side, moved / side)
    for a, b in zip(batches, start(moved, workdir), strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.mark.parametrize(("name", "split"), [("4.jpg", "train"), ("10.jpg", "test")])
def test_one_other_picture_is_refused(pairs, workdir, name, split):
    start(pairs, workdir)
    Image.new("RGB", SIZE[::-1], "red").save(pairs / "camera" / name)
    total = {"train": 7, "test": 2}[split]
    with pytest.raises(data.DataError, match=f"1 of {total} {split} records .* example {name}"):
        open_run(pairs, workdir)


def test_pictures_of_the_same_size_are_told_apart_by_their_first_bytes(pairs, workdir):
    for side in ("phone", "camera"):
        for path in (pairs / side).iterdir():
            Image.open(path).convert("RGB").save(path.with_suffix(".bmp"))
            path.unlink()
    start(pairs, workdir)
    Image.new("RGB", SIZE[::-1], "red").save(pairs / "camera" / "4.bmp")
    with pytest.raises(data.DataError, match="1 of 7 train records .* example 4.bmp"):
        open_run(pairs, workdir)


def test_damaged_pictures_go_to_quarantine_and_are_not_refused(pairs, workdir):
    start(pairs, workdir)
    os.truncate(pairs / "phone" / "3.jpg", 100)
    (pairs / "phone" / "5.jpg").unlink()
    (pairs / "phone" / "6.jpg").write_bytes(b"")
    start(pairs, workdir)
    rows = (workdir / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(row)["name"] for row in rows} == {"3.jpg", "5.jpg", "6.jpg"}
    # They stay in quarantine, whatever takes their place.
    Image.new("RGB", SIZE[::-1], "red").save(pairs / "phone" / "5.jpg")
    start(pairs, workdir)


def test_added_pictures_are_counted_in_one_line(pairs, workdir, caplog):
    batches = start(pairs, workdir)
    assert not caplog.messages
    write_pairs(pairs / "phone", pairs / "camera", ["1.jpg", "11.jpg", "12.jpg"], size=SIZE)
    for a, b in zip(batches, start(pairs, workdir), strict=True):
        np.testing.assert_array_equal(a["input"], b["input"], strict=True)
    (line,) = caplog.messages
    assert f"3 records added to {pairs} since this run started are not used" in line
    caplog.clear()
    for name in ("1.jpg", "11.jpg"):
        for side in ("phone", "camera"):
            (pairs / side / name).unlink()
    open_run(pairs, workdir)
    (line,) = caplog.messages
    assert "1 record added to" in line and "is not used" in line


def test_added_photos_are_counted(pairs, workdir, caplog):
    start(None, workdir, **photos_fields(pairs))
    (pairs / "camera" / "more").mkdir()
    for number in range(2):
        Image.new("RGB", (40, 40)).save(pairs / "camera" / "more" / f"{number}.png")
    open_run(None, workdir, **photos_fields(pairs))
    (line,) = caplog.messages
    assert "2 records added to" in line


def test_workdir_of_an_older_version(pairs, workdir, tmp_path):
    start(pairs, workdir)
    stored = (workdir / FINGERPRINTS).read_bytes()
    (workdir / FINGERPRINTS).unlink()
    start(pairs, workdir)
    assert (workdir / FINGERPRINTS).read_bytes() == stored
    (workdir / FINGERPRINTS).write_bytes(stored[:-9])
    with pytest.raises(data.DataError, match=r"fingerprints\.json is damaged; remove it if"):
        open_run(pairs, workdir)


def test_sources_without_files_have_no_fingerprints(workdir):
    start("", workdir, source="synthetic")
    assert json.loads((workdir / FINGERPRINTS).read_text(encoding="utf-8")) == {
        "train": [],
        "test": [],
    }
    start("", workdir, source="synthetic")
