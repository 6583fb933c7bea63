"""The memory that is left, on a machine and in a container."""

from types import SimpleNamespace

import psutil
import pytest

from ppcn_jax.runtime import memory
from ppcn_jax.runtime.errors import InputError

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
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "none")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    assert memory.available_bytes() == MACHINE  # no control groups
    for name, text in zip(names, (limit, used, "anon 7\ninactive_file 0\n"), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    assert memory.available_bytes() == expected
    (tmp_path / names[2]).write_text("anon 7\ninactive_file 100\n", encoding="utf-8")
    assert memory.available_bytes() == min(MACHINE, expected + (99 if expected == 0 else 100))


@pytest.mark.parametrize(
    ("own", "folder", "name"),
    [
        ("0::/system.slice/job", "system.slice/job", "memory.max"),
        ("0::/system.slice/job", "system.slice", "memory.max"),
        ("0::/../other", "", "memory.max"),
        ("5:cpu:/a\n4:memory,hugetlb:/box/1\n0::/", "memory/box/1", "memory.limit_in_bytes"),
        ("4:memory:/box/1\n0::/", "memory/box", "memory.limit_in_bytes"),
    ],
)
def test_the_limits_of_a_group_and_its_parents_count(monkeypatch, tmp_path, own, folder, name):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    (tmp_path / "cgroup").write_text(f"{own}\n", encoding="utf-8")
    used = {"memory.max": "memory.current"}.get(name, "memory.usage_in_bytes")
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for file, text in ((name, "900"), (used, "300"), ("memory.stat", "inactive_file 50")):
        (tmp_path / folder / file).write_text(f"{text}\n", encoding="utf-8")
    assert memory.available_bytes() == 650
    memory.check_available(650)
    with pytest.raises(InputError, match="needs more than 0.0 GB of memory, and 0.0 GB are avail"):
        memory.check_available(651)


def test_this_machine_has_memory():
    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total
