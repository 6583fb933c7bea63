"""Folders of pairs: finding, checking and reading them."""

import itertools
import os
import threading
import types

import numpy as np
import pytest

import data
from data.batching import loaders
from data.sources import pairs as pairs_module
from tests.data.sample_pictures import draw, encode, sideways, write_pairs


def test_last_pairs_in_natural_order_are_held_out(pairs, make):
    assert make(split="test").names == ["9.jpg", "10.jpg"]
    assert make(split="train").names == [f"{number}.jpg" for number in range(2, 9)]


def test_test_frames_are_full_and_aligned(pairs, make):
    source = make(split="test", crop=1000)
    assert source.crop is None
    photo, target = source[0]
    assert photo.shape == target.shape == (16, 20, 3)
    for picture, drawn in ((photo, draw(7)), (target, draw(1007))):
        assert (
            abs(picture.astype(int) - drawn).mean() < 12 < abs(picture.astype(int) - draw(0)).mean()
        )


def test_other_files_are_ignored(pairs, make):
    for name in ("Thumbs.db", ".DS_Store", ".hidden.jpg", "notes.txt", "LICENSE"):
        (pairs / "phone" / name).write_bytes(b"x")
    (pairs / "camera" / "more").mkdir()
    assert len(make()) == 7


def test_frames_of_many_formats_and_sizes(pairs, make):
    for folder, offset in (("phone", 0), ("camera", 50)):
        (pairs / folder / "1.png").write_bytes(encode(draw(offset, 30, 9), "PNG", mode="RGBA"))
        (pairs / folder / "0.JPEG").write_bytes(sideways(draw(offset, 30, 40)))
    source = make(crop=9, in_memory=False)
    assert source.names[:3] == ["0.JPEG", "1.png", "2.jpg"]
    assert [source[i][0].shape[:2] for i in range(3)] == [(40, 30), (30, 9), (16, 20)]


def remove_partner(folder, side):
    os.remove(folder / side / "3.jpg")


def replace_by(content):
    def change(folder, side):
        (folder / side / "3.jpg").write_bytes(content)

    return change


BAD = {
    "partner": (remove_partner, r"3\.jpg has no partner .*3\.jpg; add the partner"),
    "truncated": (replace_by(encode(draw(0))[:-30]), r"3\.jpg does not decode .*truncated"),
    "empty": (replace_by(b""), r"3\.jpg does not decode"),
    "text": (replace_by(b"hello " * 99), r"3\.jpg does not decode"),
    "size": (
        replace_by(encode(draw(0, 20, 16))),
        r"3\.jpg: the input is .* align them to one size",
    ),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("side", ["phone", "camera"])
@pytest.mark.parametrize("fault", BAD)
def test_error_at_the_start_names_the_bad_pair(pairs, make, fault, side, in_memory):
    change, message = BAD[fault]
    change(pairs, side)
    with pytest.raises(data.DataError, match=message):
        make(in_memory=in_memory)


def test_pictures_without_partner_are_counted(pairs, make):
    for name in ("3.jpg", "10.jpg", "4.jpg"):
        os.remove(pairs / "camera" / name)
    with pytest.raises(data.DataError, match=r"phone/3\.jpg has no partner .*\(3 pictures of this"):
        make()


@pytest.mark.parametrize("in_memory", [True, False])
def test_crop_larger_than_a_frame(pairs, make, in_memory):
    with pytest.raises(data.DataError, match="20x16 pixels, smaller than the crop of 17; use a"):
        make(crop=17, in_memory=in_memory)


@pytest.mark.parametrize("holdout", [-1, 9, 100])
def test_holdout_that_leaves_no_training_pair(pairs, make, holdout):
    with pytest.raises(
        data.DataError, match=rf"holdout must be from 0 to 8, not {holdout}: .* 9 pairs"
    ):
        make(holdout=holdout)


def test_messages_count_in_singular_too(tmp_path, make):
    write_pairs(tmp_path / "phone", tmp_path / "camera", ["1.jpg"])
    with pytest.raises(data.DataError, match=r"holdout must be 0, not 2: .*phone holds 1 pair, "):
        make(holdout=2)


def test_nothing_held_out(pairs, make):
    assert len(make(holdout=0)) == 9
    with pytest.raises(data.DataError, match="holdout=0 leaves no pair .* for testing"):
        make(holdout=0, split="test")


def test_missing_folder(pairs, make):
    with pytest.raises(data.DataError, match=r"no folder .*camcorder; check"):
        make(target="camcorder")


def test_empty_folders(tmp_path, make):
    write_pairs(tmp_path / "phone", tmp_path / "camera", [])
    with pytest.raises(
        data.DataError, match="phone and its subfolders hold no pictures; put pairs"
    ):
        make()


def take(source, count, **options):
    batches = data.batches(source, seed=3, batch_size=6, **options)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


@pytest.mark.parametrize("cache_bytes", [0, 5000, 2**30])
def test_tensorflow_and_numpy_give_the_same_bytes(pairs, make, monkeypatch, cache_bytes):
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(pairs_module, "_CACHE_BYTES", cache_bytes)
    options = {"start_step": 2, "process_index": 1, "process_count": 2, "local_devices": 3}
    from_disk = take(make(in_memory=False), 5, **options)
    from_memory = take(make(in_memory=True), 5, **options)
    for a, b in zip(from_disk, from_memory, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def test_batches_during_the_import_of_tensorflow_are_the_same(pairs, make, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    imported, opened = threading.Event(), []
    source = make(in_memory=False)

    def import_tensorflow():
        assert imported.wait(60)
        return tf

    def dataset(order, start_step):
        opened.append(start_step)
        return type(source).dataset(source, order, start_step)

    monkeypatch.setattr(loaders, "sys", types.SimpleNamespace(modules={}))
    monkeypatch.setattr(loaders, "import_tensorflow", import_tensorflow)
    monkeypatch.setattr(source, "dataset", dataset)
    batches = data.batches(source, seed=3, batch_size=6, start_step=2)
    early = list(itertools.islice(batches, 4))
    assert not opened
    imported.set()
    taken = early
    while not opened or len(taken) <= opened[0] - 2:
        taken.append(next(batches))
    batches.close()
    for a, b in zip(taken, take(make(in_memory=True), len(taken), start_step=2), strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def test_cache_is_bounded(pairs, make, monkeypatch):
    frame = 16 * 20 * 3
    monkeypatch.setattr(pairs_module, "_CACHE_BYTES", 3 * 2 * frame)
    source = make(in_memory=False)
    first = [source[i][0] for i in range(7)]
    assert [source[i][0] is first[i] for i in range(7)] == [True] * 3 + [False] * 4


def test_error_names_a_file_that_breaks_during_training(pairs, make):
    pytest.importorskip("tensorflow")
    source = make(in_memory=False)
    (pairs / "phone" / "3.jpg").write_bytes(b"")
    with pytest.raises(data.DataError, match=r"3\.jpg does not decode"):
        take(source, 5)


def test_real_frames(shared, make):
    options = {"dir": shared / "data/city100", "input": "iphonex", "target": "nikon", "holdout": 10}
    assert len(make(**options, in_memory=False, split="test")) == 10
