"""Sources that are decoded into RAM."""

import numpy as np
import pytest

import data
from data.pictures import memory
from data.sources import in_memory


def test_copies_a_source(make):
    source = make(source="synthetic")
    copy = data.InMemory(source)
    assert copy.names == source.names
    assert copy.crop == source.crop
    assert len(copy) == len(source)
    np.testing.assert_array_equal(copy[5], source[5])


def test_decodes_each_pair_once(pairs, make):
    source = make(in_memory=True)
    assert source[1] is source[1]


def test_too_little_memory(pairs, make, monkeypatch):
    monkeypatch.setattr(in_memory, "available_bytes", lambda: 7 * 2 * 16 * 20 * 3 - 1)
    with pytest.raises(data.DataError, match=r"decoding 7 pairs takes .* set in_memory=False"):
        make(in_memory=True)


def test_unknown_free_memory_does_not_prevent_decoding(pairs, make, monkeypatch):
    monkeypatch.setattr(in_memory, "available_bytes", lambda: None)
    assert len(make(in_memory=True)) == 7


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, 4096_000), ("max", 4096_000), ("5000", 4000), ("9999999", 4096_000)],
)
def test_available_bytes(tmp_path, monkeypatch, limit, expected):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_bytes() == expected


def test_free_memory_is_unknown_without_proc(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_bytes() is None
