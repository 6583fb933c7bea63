"""A file is complete or absent, whatever happens while it is written."""

import contextlib
import json
import math
import resource

import pytest

from ppcn_jax.runtime.files import write_bytes, write_json


@contextlib.contextmanager
def files_of_at_most(size):
    """Let no file grow beyond `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_written_with_the_folders_it_needs(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "file", b"\x00new")
    assert contents(tmp_path / "a" / "b") == {"file": b"\x00new"}


def test_a_file_is_replaced_by_a_shorter_one(tmp_path):
    write_bytes(tmp_path / "file", b"a long text")
    write_bytes(str(tmp_path / "file"), b"short")
    assert contents(tmp_path) == {"file": b"short"}


@pytest.mark.parametrize("before", [{}, {"file": b"old"}], ids=["absent", "old"])
def test_a_disk_that_fills_up_changes_nothing(tmp_path, before):
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large"):
        write_bytes(tmp_path / "file", bytes(100_000))
    assert contents(tmp_path) == before


def test_a_folder_in_the_way_stays_and_nothing_else_does(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_bytes(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").is_dir()


def test_json_is_read_back_and_ends_its_line(tmp_path):
    value = {"psnr": 22.5, "per_image": [{"name": "Füße", "psnr": None}], "images": 1}
    write_json(tmp_path / "results.json", value)
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (math.nan, ValueError),
        (math.inf, ValueError),
        (-math.inf, ValueError),
        (object(), TypeError),
    ],
)
def test_a_value_that_json_lacks_leaves_the_old_file(tmp_path, value, error):
    write_json(tmp_path / "results.json", {"psnr": 1.0})
    before = contents(tmp_path)
    with pytest.raises(error):
        write_json(tmp_path / "results.json", {"images": 3, "nested": [{"psnr": value}]})
    assert contents(tmp_path) == before
