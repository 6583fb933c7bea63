"""Unusable records are reported together, by every source."""

import concurrent.futures
import re
import threading

import pytest

import data
from data.errors import Share
from data.pictures import progress
from data.pictures.progress import parallel
from tests.data.sample_pictures import draw, encode, write_pairs

COUNT, BAD = 20, range(2, 9)  # 2.jpg to 8.jpg are too small or unreadable


def spoil(path, number):
    path.write_bytes(encode(draw(number, 30, 30)) if number % 2 else b"no picture")


def assert_names_five(problem, total):
    """The message counts the records, and names five of them with the reason and the remedy."""
    lines = str(problem.value).splitlines()
    assert lines[0] == f"{len(BAD)} of {total} records cannot be used; the first five:"
    assert len(lines) == 6
    for line, number in zip(lines[1:], BAD, strict=False):
        reason = "is 30x30 pixels, .*remove" if number % 2 else "does not decode .*remove it"
        assert re.match(rf"- (.*/phone/)?{number}\.jpg {reason}", line)


@pytest.fixture
def photos(tmp_path):
    names = [f"{number}.jpg" for number in range(1, COUNT + 1)]
    write_pairs(tmp_path / "phone", tmp_path / "camera", names, size=(40, 40))
    return tmp_path


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("source", ["pairs", "high_resolution"])
def test_training_records(photos, make, source, in_memory):
    for number in BAD:
        spoil(photos / "phone" / f"{number}.jpg", number)
        if number % 2 and source == "pairs":
            spoil(photos / "camera" / f"{number}.jpg", number)
    folder = photos if source == "pairs" else photos / "phone"
    with pytest.raises(data.DataError) as problem:
        make(source=source, dir=folder, crop=32, in_memory=in_memory)
    assert_names_five(problem, COUNT - 2)


class Together:
    """Exchanges texts between threads that stand for the processes of a run."""

    def __init__(self, count):
        self.texts = [""] * count
        self.barrier = threading.Barrier(count, timeout=60)

    def of(self, index):
        def exchange(text):
            self.barrier.wait()
            self.texts[index] = text
            self.barrier.wait()
            return list(self.texts)

        return exchange


def open_in_processes(count, open_in):
    """Call `open_in(share)` for each of several processes; return the results and the errors."""
    together = Together(count)

    def attempt(index):
        try:
            return open_in(Share(index, count, together.of(index)))
        except data.DataError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(attempt, range(count)))


@pytest.mark.parametrize("source", ["pairs", "high_resolution"])
@pytest.mark.parametrize("bad", [BAD, range(3, 4), range(0)], ids=["several", "one", "none"])
def test_processes_share_the_checks_and_raise_the_same_error(
    photos, make, monkeypatch, source, bad
):
    for number in bad:
        spoil(photos / "phone" / f"{number}.jpg", number)
        if number % 2 and source == "pairs":
            spoil(photos / "camera" / f"{number}.jpg", number)
    folder = photos if source == "pairs" else photos / "phone"
    fields = {"source": source, "dir": folder, "crop": 32, "in_memory": False}
    calls = []
    attempt_all = progress.attempt_all

    def count_calls(function, items, description):
        calls.extend(items)
        return attempt_all(function, items, description)

    monkeypatch.setattr(progress, "attempt_all", count_calls)
    opened = open_in_processes(3, lambda share: make(check_share=share, **fields))
    assert sorted(calls) == list(range(COUNT - 2))  # each record once
    if not bad:
        assert [list(one.names) for one in opened] == [list(opened[0].names)] * 3
        return
    monkeypatch.setattr(progress, "attempt_all", attempt_all)
    with pytest.raises(data.DataError) as alone:
        make(**fields)
    first, *others = map(str, opened)
    assert others == [first] * 2
    address = r"0x[0-9a-f]+"  # in Pillow's message
    assert re.sub(address, "", first) == re.sub(address, "", str(alone.value))


def test_photos_of_a_test_set(photos):
    for number in BAD:
        spoil(photos / "phone" / f"{number}.jpg", number)
    with pytest.raises(data.DataError) as problem:
        data.open_test_sets(str(photos / "phone"))
    assert_names_five(problem, COUNT)


def test_patches_of_dped(photos, tmp_path, make):
    dped = tmp_path / "dped"
    for part in ("training_data", "test_data/patches"):
        folder = dped / "iphone" / part
        write_pairs(folder / "iphone", folder / "canon", [f"{n}.jpg" for n in range(1, 10)])
        for number in BAD:
            (folder / "iphone" / f"{number}.jpg").write_bytes(b"no picture")
    for split in ("train", "test"):
        with pytest.raises(data.DataError, match="7 of 9 records cannot be used; the first five:"):
            make(source="dped", dir=dped, split=split, in_memory=True)


def test_prepared_copy_of_dped(tmp_path, monkeypatch, photos):
    pytest.importorskip("tensorflow_datasets")
    from data.dped import builder

    patches = {f"{number}.jpg": f"{number}.jpg" for number in range(1, 10)}
    for number in BAD:
        (photos / "phone" / f"{number}.jpg").write_bytes(b"no picture")
    written = []
    with pytest.raises(data.DataError, match="7 of 9 records cannot be used; the first five:"):
        for pair in builder._checked_pairs(photos / "phone", photos / "camera", patches):
            written.append(pair["name"])
    assert written == ["1.jpg"]


def test_one_unusable_record_is_named_alone(photos, make):
    (photos / "phone" / "2.jpg").write_bytes(b"no picture")
    with pytest.raises(data.DataError, match=r"^.*/phone/2\.jpg does not decode"):
        make()


def test_up_to_five_are_all_named(photos, make):
    for number in (3, 9):
        (photos / "phone" / f"{number}.jpg").write_bytes(b"no picture")
    with pytest.raises(data.DataError) as problem:
        make()
    first, *rest = str(problem.value).splitlines()
    assert first == "2 of 18 records cannot be used:"
    assert len(rest) == 2


def test_other_exceptions_are_raised_as_they_are():
    def function(number):
        if number == 3:
            raise ZeroDivisionError
        if number > 1:
            raise data.DataError("bad")
        return number

    with pytest.raises(ZeroDivisionError):
        parallel(function, range(9), "")
    with pytest.raises(data.DataError, match="bad"):
        parallel(function, range(3), "")
    assert parallel(function, range(2), "") == [0, 1]
