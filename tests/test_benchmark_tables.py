"""The numbers of benchmarks that are kept, and the tables of docs/ that are made from them."""

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
_SPEC = importlib.util.spec_from_file_location("benchmark_tables", DOCS / "benchmark_tables.py")
benchmark_tables = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(benchmark_tables)


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_tables, "NUMBERS", tmp_path / "numbers")
    return tmp_path / "numbers"


def results(times, *, commit="abcdef012345", device="Chip 9, 2 cores"):
    rows = [
        {"task": "photo", "name": name, "milliseconds": time, "ratio": 1.0, "problem": None}
        | dict.fromkeys(("floor_milliseconds", "over_floor", "difference", "error", "megabytes"))
        | {"note": None}
        for name, time in times.items()
    ]
    packages = {"jax": "0.10.2"}
    machine = {"device": device, "system": "Linux x86_64", "python": "3.11.7", "packages": packages}
    return {"machine": machine | {"commit": commit}, "rounds": 3, "peaks": {}, "rows": rows}


@pytest.fixture
def kept(numbers, tmp_path):
    def run(times, **machine):
        (tmp_path / "benchmark.json").write_text(
            json.dumps(results(times, **machine)), encoding="utf-8"
        )
        return benchmark_tables.keep(tmp_path / "benchmark.json")

    return run


def test_tables_of_the_docs_are_those_of_the_kept_numbers():
    pages = {path: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    marked = [path for path, page in pages.items() if "<!-- numbers:" in page]
    assert marked and "| ms |" in pages[marked[0]].split("<!-- numbers:")[1]
    for path in marked:
        assert benchmark_tables.with_tables(pages[path]) == pages[path], (
            f"{path.name}: run python docs/benchmark_tables.py write"
        )


def test_runs_are_kept_by_machine_and_commit(kept, numbers):
    first = kept({"JAX": 10.0})
    assert kept({"JAX": 10.0}) == first  # the same file
    assert kept({"JAX": 11.0}).name == "chip-9-2-cores-abcdef012345-2.json"
    assert first.name == "chip-9-2-cores-abcdef012345-1.json"
    assert len(list(numbers.iterdir())) == 2


@pytest.mark.parametrize("commit", [None, "abcdef012345+"])
def test_a_commit_that_nobody_else_has_is_refused(kept, commit):
    with pytest.raises(ValueError, match="measure a clean commit"):
        kept({"JAX": 10.0}, commit=commit)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "benchmark.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no result of configs/benchmark\.py"):
        benchmark_tables.keep(tmp_path / "benchmark.json")


def test_changes_within_the_range_of_runs_are_noise(kept):
    old = [kept({"JAX": 10.0, "gone": 1.0, "slow": 5.0}), kept({"JAX": 12.0, "slow": 6.0})]
    times = [{"JAX": 11.9, "slow": 8.0, "new": 2.0}, {"JAX": 20.0, "slow": 9.0}]
    new = [kept(each, commit="fedcba987654") for each in times]
    assert benchmark_tables.compare(old, new).splitlines() == [
        "photo: slow: 5 to 6 ms -> 8 to 9 ms, +55%",
        "photo: gone: only before",
        "photo: new: only after",
    ]
    assert benchmark_tables.compare(old, old) == "nothing changed by more than noise"


def test_comparisons_need_two_runs_of_one_machine(kept):
    runs = [kept({"JAX": 10.0}), kept({"JAX": 12.0})]
    other = [kept({"JAX": time}, device="Chip 8") for time in (1.0, 2.0)]
    with pytest.raises(ValueError, match="2 and 1 runs: .* at least two of each"):
        benchmark_tables.compare(runs, runs[:1])
    with pytest.raises(ValueError, match="different machines: Chip 8, Chip 9, 2 cores"):
        benchmark_tables.compare(runs, other)


def test_a_table_has_no_empty_columns(kept, numbers):
    name = kept({"JAX": 10.0}).name
    page = f"Before.\n\n<!-- numbers: {name} -->\n\nold\n<!-- end -->\n\nAfter.\n"
    new = benchmark_tables.with_tables(page)
    assert "| task | with | ms | ratio |" in new and "| photo | JAX | 10 | 1.00 |" in new
    assert new.startswith("Before.") and new.endswith("After.\n") and "old" not in new
    assert benchmark_tables.with_tables(new) == new


def test_the_fastest_other_library_stands_beside_jax(numbers, tmp_path):
    run = results({"JAX": 10.0, "slow": 30.0, "fast": 8.126})
    alone = results({"JAX": 1.0})["rows"]
    for row in run["rows"]:
        row["task"] = "f(x, y), 8 of 9x9"
    for row, task in zip(2 * alone, ("f(x, y), 2 of 720x720", "g(x), 8 of 9x9"), strict=True):
        run["rows"].append({**row, "task": task})
    (tmp_path / "benchmark.json").write_text(json.dumps(run), encoding="utf-8")
    name = benchmark_tables.keep(tmp_path / "benchmark.json").name
    page = f"<!-- numbers: {name} fastest -->\n<!-- end -->\n"
    lines = benchmark_tables.with_tables(page).splitlines()
    assert lines[2:5] == [
        "| ms | 8 of 9x9 | 2 of 720x720 |",
        "|---|---|---|",
        "| `f(x, y)` | 10; 8.13 fast | – |",
    ]
    assert lines[6].startswith("Chip 9, 2 cores, ") and "g(x)" not in str(lines)
