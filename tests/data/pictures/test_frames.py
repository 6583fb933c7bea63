"""Frames that are decoded once, and their files."""

import itertools
import os
import pathlib
import shutil
import threading
import time
import types

import numpy as np
import pytest
from PIL import Image

import data
from data.pictures import stored_frames
from data.pictures.frames import Frames
from data.pictures.tiles import DamagedError, file_size, read_window, write_tiles
from data.sources import high_resolution
from data.sources import pairs as pairs_module

CROP = 16  # of frames with more than sixteen crops


def draw(seed, height, width):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def fixed(top, left, height=CROP, width=CROP):
    return lambda shape: (slice(top, top + height), slice(left, left + width))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of stored frames, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    return tmp_path / "cache" / "ppcn-jax" / "frames"


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (65, 127), (128, 200), (200, 63)])
def test_every_window_of_every_frame_is_read(tmp_path, shape):
    frames = tuple(draw(seed, *shape) for seed in range(3))
    write_tiles(tmp_path / "tiles", frames)
    assert (tmp_path / "tiles").stat().st_size == file_size(frames)
    height, width = shape
    edges = [0, 1, 63, 64, 65, 127, 128]
    for top, left in itertools.product(edges, edges):
        for bottom, right in ((top + 1, left + 1), (height, width), (top + 70, left + 70)):
            window = slice(top, min(bottom, height)), slice(left, min(right, width))
            if top < height and left < width:
                for read, frame in zip(
                    read_window(tmp_path / "tiles", lambda shape, at=window: at),
                    frames,
                    strict=True,
                ):
                    np.testing.assert_array_equal(read, frame[window], strict=True)


def cut_off(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(path.read_bytes()[:20] + bytes(path.stat().st_size - 20))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[20 + 5000] ^= 0x10
    path.write_bytes(content)


def foreign(path):
    path.write_bytes(b"x" * path.stat().st_size)


DAMAGES = [cut_off, empty, zeros, flip_a_bit, foreign]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_an_error(tmp_path, damage):
    path = tmp_path / "tiles"
    write_tiles(path, (draw(0, 100, 100),))
    damage(path)
    with pytest.raises(DamagedError, match=r"tiles is (truncated|altered)"):
        read_window(path, fixed(0, 0))


class Pictures:
    """Numbered pairs of frames, which counts how often each is decoded."""

    def __init__(self, count=4, shape=(70, 80)):
        self.frames = [(draw(i, *shape), draw(100 + i, *shape)) for i in range(count)]
        self.decoded = [0] * count
        self.version = 0

    def decode(self, index):
        self.decoded[index] += 1
        return self.frames[index]

    def open(self, *, room=0, crop=CROP):
        identity = f"{self.version}"
        return Frames(
            self.decode,
            lambda index: f"{identity} {index}",
            count=len(self.frames),
            crop=crop,
            room=room,
        )

    def check(self, frames):
        for index, pair in enumerate(self.frames):
            for top, left in ((0, 0), (3, 60), (54, 64)):
                crops = frames.cut(index, fixed(top, left))
                for crop, frame in zip(crops, pair, strict=True):
                    np.testing.assert_array_equal(
                        crop, frame[top : top + CROP, left : left + CROP], strict=True
                    )


def test_frames_are_decoded_once_by_all_processes(folder, caplog):
    pictures = Pictures()
    pictures.check(pictures.open())
    assert pictures.decoded == [1, 1, 1, 1]
    pictures.check(pictures.open())  # another process, or a later run
    assert pictures.decoded == [1, 1, 1, 1]
    size = file_size(pictures.frames[0])
    assert [path.stat().st_size for path in folder.iterdir()] == 4 * [size]
    # One line, with the place and the size.
    (message,) = caplog.messages
    assert f"stored in {folder} (up to {4 * size / 1e9:.1f} GB)" in message
    assert "can be deleted at any time" in message


def test_frames_that_fit_stay_in_ram(folder):
    pictures = Pictures()
    frames = pictures.open(room=2 * sum(frame.nbytes for frame in pictures.frames[0]))
    pictures.check(frames)
    assert pictures.decoded == [1, 1, 1, 1]
    assert len(list(folder.iterdir())) == 2
    assert [frames[i] is frames[i] for i in range(2)] == [True, True]


def test_changed_picture_is_decoded_again(folder):
    pictures = Pictures()
    pictures.check(pictures.open())
    pictures.frames.reverse()
    pictures.version += 1
    pictures.check(pictures.open())
    assert pictures.decoded == [2, 2, 2, 2]


def test_small_frames_and_test_splits_are_not_stored(folder):
    pictures = Pictures(shape=(60, 60))
    pictures.check(pictures.open())  # 16 crops need 64 x 64 pixels
    pictures.check(pictures.open(crop=None))
    assert pictures.decoded == [6, 6, 6, 6]
    assert not folder.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_decoded_again(folder, caplog, damage):
    pictures = Pictures()
    pictures.check(pictures.open())
    damage(sorted(folder.iterdir())[1])
    pictures.check(pictures.open())
    assert sorted(pictures.decoded) == [1, 1, 1, 2]
    assert "the picture is decoded again" in caplog.text
    caplog.clear()
    pictures.check(pictures.open())
    assert sorted(pictures.decoded) == [1, 1, 1, 2] and not caplog.messages


def test_folder_can_be_deleted_while_a_run_uses_it(folder):
    pictures = Pictures()
    frames = pictures.open()
    pictures.check(frames)
    shutil.rmtree(folder)
    pictures.check(frames)
    pictures.check(frames)
    assert pictures.decoded == [2, 2, 2, 2]


def test_disk_that_is_nearly_full(folder, caplog, monkeypatch):
    pictures = Pictures()
    size = file_size(pictures.frames[0])
    left = 4 * 2**30 + 2 * size

    def usage(path):
        files = sum(file.stat().st_size for file in pathlib.Path(path).iterdir())
        return types.SimpleNamespace(free=left - files)

    monkeypatch.setattr(stored_frames.shutil, "disk_usage", usage)
    pictures.check(pictures.open())
    assert pictures.decoded == [1, 1, 3, 3]
    assert len(list(folder.iterdir())) == 2
    announced, stopped = caplog.messages
    assert f"up to {2 * size / 1e9:.1f} GB" in announced
    assert f"no more decoded pictures are stored in {folder}" in stopped
    assert "less than 4.3 GB of the disk would stay free" in stopped


def test_folder_that_cannot_be_written(folder, caplog):
    folder.parent.parent.write_text("a file", encoding="utf-8")
    pictures = Pictures()
    pictures.check(pictures.open())
    assert pictures.decoded == [3, 3, 3, 3]
    (message,) = caplog.messages
    assert f"stored in {folder} (" in message and "XDG_CACHE_HOME=DIR" in message


def test_write_that_fails_leaves_nothing(folder, caplog, monkeypatch):
    def fail(path, frames):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(stored_frames, "write_tiles", fail)
    pictures = Pictures()
    pictures.check(pictures.open())
    assert not list(folder.iterdir())
    assert "No space left on device" in caplog.messages[-1]


def test_files_of_killed_processes_are_removed(folder):
    folder.mkdir(parents=True)
    old, new = folder / "a.partial", folder / "b.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    pictures = Pictures()
    pictures.check(pictures.open())
    assert not old.exists() and new.exists()


def test_threads_that_need_one_frame_decode_it_once():
    pictures, barrier = Pictures(count=1), threading.Barrier(4)
    frames, cut = pictures.open(), []

    def take():
        barrier.wait()
        cut.append(frames.cut(0, fixed(0, 0)))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pictures.decoded == [1] and len(cut) == 4


@pytest.fixture
def large(tmp_path):
    """Twelve pairs with more than sixteen crops each."""
    for offset, side in enumerate(("phone", "camera")):
        (tmp_path / side).mkdir()
        for number in range(12):
            picture = Image.fromarray(draw(2 * number + offset, 70 + number, 90))
            picture.save(tmp_path / side / f"{number}.png")
    return tmp_path


def take(source, count):
    batches = data.batches(source, seed=3, batch_size=6, start_step=1)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


@pytest.mark.parametrize("source", ["pairs", "high_resolution"])
@pytest.mark.parametrize("room", [0, 100_000])
def test_batches_are_the_same(large, make, monkeypatch, folder, source, room):
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(pairs_module, "_CACHE_BYTES", room)
    monkeypatch.setattr(high_resolution, "available_bytes", lambda: 2 * room)
    options = {"source": source, "crop": CROP}
    if source == "high_resolution":
        options["dir"] = large / "phone"
    stored, stored_before = (take(make(**options, in_memory=False), 8) for _ in range(2))
    assert 0 < len(list(folder.iterdir())) <= 10
    monkeypatch.undo()
    in_memory = take(make(**options, in_memory=True), 8)
    for a, b, c in zip(stored, stored_before, in_memory, strict=True):
        for name in c:
            np.testing.assert_array_equal(a[name], c[name], strict=True)
            np.testing.assert_array_equal(b[name], c[name], strict=True)


def test_photos_on_disk_are_checked_without_decoding(large, make, monkeypatch):
    monkeypatch.setattr(high_resolution, "available_bytes", lambda: 0)
    options = {"source": "high_resolution", "dir": large / "phone", "in_memory": False}
    make(**options, crop=CROP)

    def read(path):
        raise data.DataError("decoded again")

    monkeypatch.setattr("data.sources.photo_folder.read", read)
    make(**options, crop=CROP)
    # Larger crops than the photos are still refused.
    with pytest.raises(data.DataError, match="decoded again"):
        make(**options, crop=80)
