"""Sources that are decoded into RAM."""

import os

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
    (tmp_path / "meminfo").write_text(
        "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n", encoding="utf-8"
    )
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit + "\n", encoding="utf-8")
        (tmp_path / "memory.current").write_text("1000\n", encoding="utf-8")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_bytes() == expected


def test_processes_of_a_machine_share_its_memory(tmp_path, monkeypatch):
    page = os.sysconf("SC_PAGE_SIZE")

    def use(pages):
        (tmp_path / "statm").write_text(f"900 {pages} 50 1 0 500 0\n", encoding="utf-8")

    (tmp_path / "meminfo").write_text("MemAvailable:    4000 kB\n", encoding="utf-8")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_STATM", tmp_path / "statm")
    monkeypatch.setattr(memory, "_share", None)
    use(pages=10)
    memory.share_memory(4)
    assert memory.available_bytes() == 1024_000
    # What others take of their shares does not reduce this one, and what this process takes does.
    (tmp_path / "meminfo").write_text("MemAvailable:    1500 kB\n", encoding="utf-8")
    use(pages=13)
    assert memory.available_bytes() == 1024_000 - 3 * page
    (tmp_path / "meminfo").write_text("MemAvailable:    7 kB\n", encoding="utf-8")
    assert memory.available_bytes() == 7 * 1024
    use(pages=10_000)
    assert memory.available_bytes() == 0
    memory.share_memory(1)
    assert memory.available_bytes() == 7 * 1024


def test_free_memory_is_unknown_without_proc(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_bytes() is None
