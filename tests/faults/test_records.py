"""Records that break or disappear during training: recorded, replaced, counted and limited."""

import itertools
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import data
from tests.faults.runs import train
from tests.processes import end, rows

# Forty training pairs in batches of four, so that ten steps make an epoch; two test pairs.
PAIRS, TEST_PAIRS, SIDE, BATCH, SEED = 40, 2, 18, 4, 7
FIELDS = {
    "source": "pairs",
    "test_dir": "",
    "phone": "iphone",
    "input": "input",
    "target": "target",
    "holdout": TEST_PAIRS,
    "validation": 0,
    "crop": 16,
    "scale": 4,
}
QUARANTINE = "quarantine.jsonl"


def write_pictures(folder, pairs=PAIRS):
    rng = np.random.default_rng(0)
    for side in ("input", "target"):
        (folder / side).mkdir(parents=True)
        for number in range(pairs + TEST_PAIRS):
            picture = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            Image.fromarray(picture).save(folder / side / f"{number} é.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    return write_pictures(tmp_path / "photos")


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10  # in the middle of the compressed pixels
    path.write_bytes(content)


def remove_pair(path):
    path.unlink()
    (path.parent.parent / "target" / path.name).unlink()


def open_run(photos, workdir, *, in_memory=False, unreadable=0.2, process=(0, 1)):
    index, count = process
    return data.TrainingData(
        {**FIELDS, "dir": photos, "in_memory": in_memory},
        workdir,
        seed=SEED,
        batch_size=BATCH,
        unreadable=unreadable,
        process_index=index,
        process_count=count,
    )


def take(run, count, start=0):
    stream = run.batches(start)
    taken = list(itertools.islice(stream, count))
    stream.close()
    return taken


def join(parts):
    """Batches of one process, joined from those of several."""
    return [
        {name: np.concatenate([part[name] for part in step], 1) for name in step[0]}
        for step in zip(*parts, strict=True)
    ]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def quarantined(workdir):
    text = (workdir / QUARANTINE).read_text(encoding="utf-8")
    return {row["name"]: row for row in map(json.loads, text.splitlines())}


def permutation(epoch, pairs=PAIRS):
    return np.random.default_rng([SEED, epoch]).permutation(pairs)


# Place in the order of the first epoch -> the fault of its input file. Places 21 and 22 are adjacent,
# so the record after the second one also replaces the first one.
FAULTS = {21: truncate, 22: flip_a_bit, 33: remove_pair, 39: remove_pair}


def break_files(photos):
    """Break the files and return the expected order of the samples in two epochs."""
    for place, fault in FAULTS.items():
        fault(photos / "input" / f"{permutation(0)[place]} é.png")
    orders = [permutation(0), permutation(1)]
    bad = {orders[0][place] for place in FAULTS}
    expected = []
    for order in orders:
        for place in range(PAIRS):
            following = (order[(place + k) % PAIRS] for k in range(PAIRS))
            expected.append(next(sample for sample in following if sample not in bad))
    return np.array(expected)


@pytest.fixture
def broken(photos, workdir, caplog):
    """A run whose files broke after its checks, the expected order, two epochs of batches, the log."""
    run = open_run(photos, workdir)
    order = break_files(photos)
    return run, order, take(run, 2 * PAIRS // BATCH), caplog.text


def test_broken_records_are_recorded_and_replaced_by_the_next(photos, workdir, broken):
    pytest.importorskip("tensorflow")
    run, order, batches, log = broken
    ids = np.concatenate([batch["id"].ravel() for batch in batches])
    np.testing.assert_array_equal(ids, order)
    rows_of = quarantined(workdir)
    assert rows_of.keys() == {f"{permutation(0)[place]} é.png" for place in FAULTS}
    for place, fault in FAULTS.items():
        row = rows_of[f"{permutation(0)[place]} é.png"]
        assert row["step"] == place // BATCH
        reason = "cannot be read" if fault is remove_pair else "does not decode"
        assert row["name"] in row["reason"] and reason in row["reason"]
        assert row["name"] in log
    assert f"4 of {PAIRS} records are in quarantine" in log
    names = [run.samples(step) for step in range(20)]
    assert names == [[f"{i} é.png" for i in batch["id"].ravel()] for batch in batches]


def test_file_that_breaks_between_two_batches(tmp_path, workdir):
    pytest.importorskip("tensorflow")
    pairs, place = 400, 301  # far enough ahead that it has not been read
    photos = write_pictures(tmp_path / "many", pairs)
    stream = open_run(photos, workdir).batches(0)
    next(stream)
    order = permutation(0, pairs)
    truncate(photos / "target" / f"{order[place]} é.png")
    batches = list(itertools.islice(stream, 99))
    stream.close()
    ids = np.concatenate([batch["id"].ravel() for batch in batches])
    np.testing.assert_array_equal(np.flatnonzero(ids != order[BATCH:]), [place - BATCH])
    assert ids[place - BATCH] == order[place + 1]
    assert list(quarantined(workdir)) == [f"{order[place]} é.png"]


@pytest.mark.parametrize("in_memory", [False, True])
def test_resumed_run_gets_the_same_batches(photos, workdir, broken, in_memory):
    _, _, batches, _ = broken
    # The run stored the names of its records at the start; the folder has fewer files now.
    assert len(list((photos / "input").iterdir())) == PAIRS + TEST_PAIRS - 2
    resumed = open_run(photos, workdir, in_memory=in_memory)
    assert_same(take(resumed, 12, start=8), batches[8:])
    # A restored file stays in quarantine, otherwise the batches would change.
    restored = f"{permutation(0)[21]} é.png"
    (photos / "input" / restored).write_bytes((photos / "target" / restored).read_bytes())
    assert_same(take(open_run(photos, workdir), 12, start=8), batches[8:])


@pytest.mark.parametrize("known", [False, True])
def test_all_processes_replace_the_same_records(photos, workdir, broken, known):
    _, _, batches, _ = broken
    if not known:
        (workdir / QUARANTINE).unlink()
    parts = [take(open_run(photos, workdir, process=(k, 2)), 20) for k in range(2)]
    assert_same(join(parts), batches)
    assert len(quarantined(workdir)) == len(FAULTS)


def test_too_many_broken_records_are_an_error_that_says_what_to_do(photos, workdir):
    run = open_run(photos, workdir, unreadable=0.05)
    break_files(photos)
    message = (
        r"3 of 40 training records cannot be read \(listed in .*quarantine\.jsonl\), "
        r"more than .*0\.05 that train\.unreadable allows; restore them"
    )
    with pytest.raises(data.DataError, match=message) as caught:
        take(run, 20)
    assert "tensorflow" not in type(caught.value).__module__
    assert len(quarantined(workdir)) == 3
    # The next start raises it before any work.
    with pytest.raises(data.DataError, match=message):
        open_run(photos, workdir, unreadable=0.05)


def test_first_start_refuses_broken_records(photos, workdir):
    truncate(photos / "input" / "3 é.png")
    with pytest.raises(data.DataError, match=r"3 é\.png does not decode"):
        open_run(photos, workdir)
    assert not list(workdir.iterdir())


def test_training_continues_if_the_quarantine_cannot_be_written(photos, workdir, caplog):
    run = open_run(photos, workdir)
    (workdir / QUARANTINE).mkdir()
    order = break_files(photos)
    ids = np.concatenate([batch["id"].ravel() for batch in take(run, 20)])
    np.testing.assert_array_equal(ids, order)
    assert "quarantine.jsonl cannot be written" in caplog.text


def test_damaged_list_of_records_is_an_error(photos, workdir):
    take(open_run(photos, workdir), 1)
    truncate(workdir / "records.json")
    with pytest.raises(data.DataError, match=r"records\.json is damaged"):
        open_run(photos, workdir)


def test_flipped_bit_in_a_prepared_copy(tmp_path, workdir, monkeypatch):
    pytest.importorskip("tensorflow")
    pytest.importorskip("array_record")
    from data.dped.prepare import prepare

    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path / "prepared"))
    rng = np.random.default_rng(0)
    dped = tmp_path / "dped"
    for part, count in (("training_data", 40), ("test_data/patches", 1)):
        for camera in ("iphone", "canon"):
            folder = dped / "iphone" / part / camera
            folder.mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
                Image.fromarray(noise).save(folder / f"{number}.jpg", quality=95)
    copy = prepare(dped, "iphone")
    fields = {**FIELDS, "source": "dped", "dir": dped, "in_memory": False, "crop": 64}

    def open_dped():
        return data.TrainingData(fields, workdir, seed=SEED, batch_size=BATCH, unreadable=0.05)

    healthy = take(open_dped(), 10)
    (path,) = pathlib.Path(copy).glob("*train*array_record*")
    flip_a_bit(path)
    batches = take(open_dped(), 10)
    (name,) = quarantined(workdir)
    assert "hash mismatch" in quarantined(workdir)[name]["reason"]
    (place,) = np.flatnonzero(permutation(0) == int(name.removesuffix(".jpg")))
    changed = [
        (batch["id"] != before["id"]).any() for batch, before in zip(batches, healthy, strict=True)
    ]
    assert np.flatnonzero(changed).tolist() == [place // BATCH]
    assert batches[place // BATCH]["id"].ravel()[place % BATCH] == permutation(0)[(place + 1) % 40]
    truncate(path)
    with pytest.raises(data.DataError, match="prepare it again"):
        open_dped()


@pytest.mark.long
def test_run_survives_files_that_broke_while_it_was_stopped(launch, tmp_path, workdir):
    photos = write_pictures(tmp_path / "photos")

    take(open_run(photos, workdir), 1)  # the run has started, but has no checkpoint
    break_files(photos)

    def start(in_memory):
        fields = {
            "data.source": "pairs",
            "data.dir": photos,
            "data.holdout": TEST_PAIRS,
            "data.in_memory": in_memory,
            "train.seed": SEED,
            "train.unreadable": 0.2,
            "train.steps": 20,
        }
        return end(train(launch, workdir, **fields))

    status, _, stderr = start(in_memory=False)
    assert status == 0, stderr
    assert quarantined(workdir).keys() == {f"{permutation(0)[place]} é.png" for place in FAULTS}
    assert f"4 of {PAIRS} records are in quarantine" in stderr
    trained = [row for row in rows(workdir) if row["split"] == "train"]
    assert [row["step"] for row in trained] == list(range(1, 21))

    for path in (photos / "target").iterdir():
        if path.name not in {f"{PAIRS + k} é.png" for k in range(TEST_PAIRS)}:
            truncate(path)
    shutil.rmtree(workdir / "checkpoints")
    status, _, stderr = start(in_memory=True)
    assert status == 1
    assert "DataError: 9 of 40 training records cannot be read" in stderr
    assert "Traceback" not in stderr
