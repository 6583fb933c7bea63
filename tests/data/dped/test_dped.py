"""DPED: preparing it, and reading its folders and its prepared copy."""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import data
from data.dped.layout import PHONES, find_prepared, prepared_root
from data.dped.prepare import main, prepare
from data.pictures.images import decode
from tests.data.sample_pictures import draw, encode, sideways, write_pairs

REPOSITORY = Path(__file__).resolve().parents[3]
TRAIN, TEST = ["1.jpg", "2.jpg", "10.jpg", "33.jpg", "100.jpg"], ["3.jpg", "7.jpg"]


@pytest.fixture(scope="module", autouse=True)
def _extra():
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("array_record")


def write_phone(dped: Path, phone: str, first_seed: int) -> None:
    """Write a phone's patches in DPED's layout; some are not plain JPEGs."""
    train, test = dped / phone / "training_data", dped / phone / "test_data" / "patches"
    write_pairs(train / phone, train / "canon", TRAIN, first_seed=first_seed, size=(16, 16))
    write_pairs(test / phone, test / "canon", TEST, first_seed=first_seed + 50, size=(16, 16))
    square = draw(first_seed + 99, 16, 16)
    (train / phone / "2.jpg").write_bytes(encode(square, mode="L"))
    (train / phone / "10.jpg").write_bytes(encode(square, mode="CMYK"))
    (train / "canon" / "33.jpg").write_bytes(encode(square, "PNG", mode="RGBA"))
    (train / "canon" / "100.jpg").write_bytes(sideways(square))
    (train / phone / "Thumbs.db").write_bytes(b"x")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A DPED folder whose phones are all prepared, and the TFDS data folder of the copies."""
    dped, tfds = tmp_path_factory.mktemp("dped"), tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", os.fspath(tfds))
        for i, phone in enumerate(PHONES):
            write_phone(dped, phone, 200 * i)
            prepare(dped, phone)
    return dped, tfds


@pytest.fixture
def open_dped(prepared, make, monkeypatch):
    dped, tfds = prepared
    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tfds))
    return lambda **changes: make(**{"source": "dped", "dir": dped, "in_memory": False, **changes})


@pytest.fixture
def unprepared(tmp_path, make, monkeypatch):
    """A function that opens an unprepared DPED (iPhone only) in a folder with a quote and a space."""
    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path / "prepared"))
    dped = tmp_path / "it's DPED"
    write_phone(dped, "iphone", 0)
    return lambda **changes: make(**{"source": "dped", "dir": dped, "in_memory": False, **changes})


def take(source, count, **options):
    batches = data.batches(source, seed=3, batch_size=4, **options)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def assert_same_batches(left, right):
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.mark.parametrize("phone", PHONES)
def test_prepared_copy_holds_every_pair_in_natural_order(prepared, phone):
    tfds = pytest.importorskip("tensorflow_datasets")
    dped, root = prepared
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", os.fspath(root))
        builder = tfds.builder_from_directory(os.fspath(find_prepared(dped, phone)))
    assert builder.info.full_name == f"dped/{phone}/1.0.0"
    for split, names in (("train", TRAIN), ("test", TEST)):
        records = builder.as_data_source(
            split, decoders={k: tfds.decode.SkipDecoding() for k in ("input", "target")}
        )
        assert [record["name"].decode() for record in records] == names
    assert "ignatov" in builder.info.citation


@pytest.mark.parametrize("phone", PHONES)
@pytest.mark.parametrize("crop", [16, 7])
def test_tensorflow_and_numpy_give_the_same_bytes(open_dped, phone, crop):
    pytest.importorskip("tensorflow")
    options = {"start_step": 2, "process_index": 1, "process_count": 2, "local_devices": 2}
    from_copy = take(open_dped(phone=phone, crop=crop), 6, **options)
    from_folder = take(open_dped(phone=phone, crop=crop, in_memory=True), 6, **options)
    assert_same_batches(from_copy, from_folder)


def test_real_patches_decode_identically(shared, make, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path))
    options = {"source": "dped", "dir": shared / "data/dped", "crop": 100}
    prepare(shared / "data/dped", "iphone")
    opened = [make(**options, in_memory=in_memory) for in_memory in (False, True)]
    assert_same_batches(*(take(source, 63) for source in opened))
    assert len(make(**options, split="test")) == 50


def test_test_split_needs_no_preparation(unprepared):
    source = unprepared(split="test")
    assert source.names == TEST
    assert source[0][0].shape == (16, 16, 3)


def test_training_from_memory_needs_no_preparation(unprepared):
    source = unprepared(in_memory=True)
    assert source.names == TRAIN
    assert len(take(source, 3)) == 3


def test_unprepared_prints_a_command_that_prepares(unprepared):
    with pytest.raises(data.DataError, match="must be prepared once") as caught:
        unprepared()
    (command,) = (line for line in str(caught.value).splitlines() if "-m data.dped.prepare" in line)
    subprocess.run(command, shell=True, cwd=REPOSITORY, check=True, capture_output=True)
    assert unprepared().names == TRAIN


def test_folder_that_holds_only_the_prepared_copy(prepared, open_dped, tmp_path):
    _, tfds = prepared
    (keyed,) = tfds.iterdir()
    shutil.copytree(keyed, tmp_path / "cluster")
    for split, names in (("train", TRAIN), ("test", TEST)):
        for in_memory in (True, False):
            copy = open_dped(dir=tmp_path / "cluster", split=split, in_memory=in_memory)
            assert copy.names == names
            for picture, expected in zip(copy[1], open_dped(split=split)[1], strict=True):
                np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("only_the_copy", [False, True])
@pytest.mark.parametrize("in_memory", [False, True])
def test_validation_holds_out_the_last_training_patches(
    prepared, open_dped, tmp_path, only_the_copy, in_memory
):
    dped, tfds = prepared
    if only_the_copy:
        (keyed,) = tfds.iterdir()
        dped = shutil.copytree(keyed, tmp_path / "cluster")
    options = {"dir": dped, "validation": 2, "in_memory": in_memory}
    train, held_out = open_dped(**options), open_dped(**options, split="test")
    assert (list(train.names), list(held_out.names)) == (TRAIN[:-2], TRAIN[-2:])
    everything = open_dped(in_memory=True, crop=16)
    for picture, expected in zip(held_out[1], everything[len(TRAIN) - 1], strict=True):
        np.testing.assert_array_equal(picture, expected)
    seen = {
        name for step in range(9) for name in data.sample_names(train, step, seed=3, batch_size=4)
    }
    assert seen == set(TRAIN[:-2])
    assert len(take(train, 3)) == 3


@pytest.mark.parametrize("only_the_copy", [False, True])
def test_validation_that_leaves_no_training_pair(prepared, open_dped, tmp_path, only_the_copy):
    dped, tfds = prepared
    if only_the_copy:
        (keyed,) = tfds.iterdir()
        dped = shutil.copytree(keyed, tmp_path / "cluster")
    for split in ("train", "test"):
        with pytest.raises(
            data.DataError, match="validation must be from 0 to 4, not 5: .* 5 pairs"
        ):
            open_dped(dir=dped, validation=len(TRAIN), split=split)


def test_two_folders_have_separate_copies(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert prepared_root(tmp_path / "a") != prepared_root(tmp_path / "b")
    assert prepared_root(tmp_path / "a") == prepared_root(tmp_path / "link")


def test_changed_folder_must_be_prepared_again(unprepared, tmp_path):
    dped = tmp_path / "it's DPED"
    prepare(dped, "iphone")
    for side in ("iphone", "canon"):
        os.remove(dped / "iphone/training_data" / side / "33.jpg")
    with pytest.raises(data.DataError, match="has changed since it was prepared"):
        unprepared()
    prepare(dped, "iphone")
    assert unprepared().names == [name for name in TRAIN if name != "33.jpg"]


def test_failed_preparation_leaves_nothing(unprepared, tmp_path):
    dped = tmp_path / "it's DPED"
    broken = dped / "iphone/test_data/patches/canon/7.jpg"
    content = broken.read_bytes()
    broken.write_bytes(content[:-40])
    with pytest.raises(data.DataError, match=r"canon/7\.jpg does not decode"):
        prepare(dped, "iphone")
    assert not list(prepared_root(dped).glob("dped/iphone/*"))
    broken.write_bytes(content)
    prepare(dped, "iphone")
    assert unprepared().names == TRAIN


BAD = {
    "partner": (lambda train: os.remove(train / "canon/2.jpg"), r"2\.jpg has no partner"),
    "pair size": (
        lambda train: (train / "canon/2.jpg").write_bytes(encode(draw(0, 8, 8))),
        r"2\.jpg: the input is 16x16 pixels and the target 8x8",
    ),
    "set size": (
        lambda train: [
            (train / side / "2.jpg").write_bytes(encode(draw(0, 8, 8)))
            for side in ("iphone", "canon")
        ],
        r"2\.jpg differs in size from .*1\.jpg",
    ),
    "folder": (lambda train: shutil.rmtree(train / "canon"), "no folder .*canon"),
}


@pytest.mark.parametrize("fault", BAD)
def test_preparing_checks_every_pair(unprepared, tmp_path, fault):
    change, message = BAD[fault]
    change(tmp_path / "it's DPED/iphone/training_data")
    with pytest.raises(data.DataError, match=message):
        prepare(tmp_path / "it's DPED", "iphone")


def test_command_line_reports_an_error_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="error: there is no folder .*nowhere"):
        main([f"--dir={tmp_path / 'nowhere'}"])


def test_command_line_says_where_it_writes_before_it_starts(unprepared, tmp_path, capsys):
    dped = tmp_path / "it's DPED"
    copy = prepared_root(dped) / "dped/iphone/1.0.0"
    main([f"--dir={dped}"])
    # Nothing of TFDS between them, which speaks of a download.
    assert capsys.readouterr().out.splitlines() == [
        f"Writing the prepared patches to {copy}",
        f"Prepared {copy}",
    ]
    assert find_prepared(dped, "iphone") == copy


def test_missing_phone(open_dped, tmp_path):
    with pytest.raises(data.DataError, match="neither a folder .*sony nor a prepared copy"):
        open_dped(dir=tmp_path, phone="sony")


def test_crop_larger_than_a_patch(open_dped):
    with pytest.raises(data.DataError, match="smaller than the crop of 17"):
        open_dped(crop=17)


def test_names_are_in_the_metadata(prepared):
    """Opening reads one small file instead of every record."""
    _, tfds = prepared
    (keyed,) = tfds.iterdir()
    metadata = json.loads((keyed / "dped/sony/1.0.0/metadata.json").read_text(encoding="utf-8"))
    assert metadata["names"] == {"train": TRAIN, "test": TEST}


def test_prepared_patches_decode_like_the_files(prepared, open_dped):
    dped, _ = prepared
    source = open_dped(phone="sony")
    for i, name in enumerate(TRAIN):
        for picture, side in zip(source[i], ("sony", "canon"), strict=True):
            encoded = (dped / "sony/training_data" / side / name).read_bytes()
            np.testing.assert_array_equal(picture, decode(encoded, name))
