"""The memory that is left, on a machine and in a container."""

from types import SimpleNamespace

import psutil
import pytest

from ppcn_jax.runtime import memory

MACHINE = 1000


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        ("max", 5, MACHINE),
        (2**63, 5, MACHINE),
        (900, 300, 600),
        (9000, 300, MACHINE),
        (300, 301, 0),
    ],
)
@pytest.mark.parametrize(
    "names",
    [
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ],
    ids=["version 2", "version 1"],
)
def test_the_limit_of_a_container_counts(monkeypatch, tmp_path, names, limit, used, expected):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    assert memory.available_bytes() == MACHINE  # no control groups
    for name, text in zip(names, (limit, used, "anon 7\ninactive_file 0\n"), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert memory.available_bytes() == expected
    (tmp_path / names[2]).write_text("anon 7\ninactive_file 100\n")
    assert memory.available_bytes() == min(MACHINE, expected + (99 if expected == 0 else 100))


def test_this_machine_has_memory():
    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total
