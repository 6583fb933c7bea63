"""Numbers of benchmarks that are kept in docs/numbers, the tables made from them, and what has changed.

    python docs/benchmark_tables.py keep W/benchmark.json     # copies it to docs/numbers
    python docs/benchmark_tables.py write                     # writes the tables of docs/*.md again
    python docs/benchmark_tables.py compare COMMIT COMMIT     # what changed by more than noise

A file is named MACHINE-COMMIT-RUN.json. The table between `<!-- numbers: FILE -->` and
`<!-- end -->` in a page is made from docs/numbers/FILE. After `<!-- numbers: FILE fastest -->` it has
a row for each task without its size, a column for each size, and beside the time of JAX the other
library that was fastest; tasks without other libraries are in the file alone.
"""

import argparse
import json
import re
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
NUMBERS = DOCS / "numbers"
_MARKED = re.compile(r"(<!-- numbers: (\S+)( fastest)? -->\n).*?(<!-- end -->)", re.DOTALL)

Runs = Mapping[tuple[str, str], list[float]]


def keep(file: Path) -> Path:
    """Copy the results of a run to docs/numbers; return the copy.

    Raises ValueError for files of something else, and for commits with changes on top.
    """
    machine = _read(file)["machine"]
    commit = machine["commit"] or ""
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        raise ValueError(f"{file}: the commit is {commit or 'unknown'}; measure a clean commit")
    place = re.sub(r"[^a-z0-9]+", "-", machine["device"].lower()).strip("-")
    number = 1
    while (kept := NUMBERS / f"{place}-{commit}-{number}.json").exists():
        if kept.read_bytes() == file.read_bytes():
            return kept
        number += 1
    NUMBERS.mkdir(exist_ok=True)
    shutil.copyfile(file, kept)
    return kept


def with_tables(page: str) -> str:
    """The text of a page, with its marked tables made from the files that they name."""

    def write(match: re.Match[str]) -> str:
        results = _read(NUMBERS / match[2])
        table = _fastest(results) if match[3] else _rows(results)
        return f"{match[1]}\n{table}\n{_machine(results)}\n{match[4]}"

    return _MARKED.sub(write, page)


def compare(before: Iterable[Path], after: Iterable[Path]) -> str:
    """Rows whose times are apart in all runs: every one before and every one after.

    The ranges of two or more runs of each commit are the noise. Raises ValueError if there are
    fewer, or if the runs are of several machines.
    """
    before, after = list(before), list(after)
    if min(len(before), len(after)) < 2:
        raise ValueError(
            f"{len(before)} and {len(after)} runs: noise is the difference of runs of one commit, "
            "so keep at least two of each"
        )
    machines = {_read(file)["machine"]["device"] for file in before + after}
    if len(machines) > 1:
        raise ValueError(f"runs of different machines: {', '.join(sorted(machines))}")
    old, new = _times(before), _times(after)
    lines = []
    for row in sorted(old.keys() & new.keys()):
        if max(old[row]) < min(new[row]) or max(new[row]) < min(old[row]):
            change = statistics.median(new[row]) / statistics.median(old[row]) - 1
            lines.append(
                f"{': '.join(row)}: {_range(old[row])} -> {_range(new[row])}, {change:+.0%}"
            )
    for name, rows in (("only before", old.keys() - new), ("only after", new.keys() - old)):
        lines += [f"{': '.join(row)}: {name}" for row in sorted(rows)]
    return "\n".join(lines) or "nothing changed by more than noise"


def _read(file: Path) -> dict[str, Any]:
    results = json.loads(file.read_text(encoding="utf-8"))
    if not {"machine", "rows"} <= results.keys():
        raise ValueError(f"{file} is no result of configs/benchmark.py")
    return results


def _times(files: Iterable[Path]) -> Runs:
    times = defaultdict(list)
    for file in files:
        for row in _read(file)["rows"]:
            if row["milliseconds"] is not None:
                times[row["task"], row["name"]].append(row["milliseconds"])
    return times


def _range(times: list[float]) -> str:
    low, high = (format(value, ".3g") for value in (min(times), max(times)))
    return f"{low} ms" if low == high else f"{low} to {high} ms"


def _rows(results: Mapping[str, Any]) -> str:
    """The rows, without the columns that have no values."""
    from ppcn_jax.benchmark.report import short_markdown
    from ppcn_jax.benchmark.rows import FIELDS

    # Older files lack the fields that were added since.
    return short_markdown([dict.fromkeys(FIELDS) | row for row in results["rows"]])


def _fastest(results: Mapping[str, Any]) -> str:
    """JAX beside the fastest other library, in ms, by task and size."""
    times: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in results["rows"]:
        if row["milliseconds"] is not None:
            task, _, size = row["task"].rpartition(", ")
            times[task][size][row["name"]] = row["milliseconds"]
    compared = {
        task: by_size
        for task, by_size in times.items()
        if any("JAX" in by_name and len(by_name) > 1 for by_name in by_size.values())
    }
    sizes = list(dict.fromkeys(size for by_size in compared.values() for size in by_size))
    lines = [f"| ms | {' | '.join(sizes)} |", f"|---|{'---|' * len(sizes)}"]
    for task, by_size in compared.items():
        cells = [_beside_the_fastest(by_size.get(size, {})) for size in sizes]
        lines.append(f"| `{task}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _beside_the_fastest(times: Mapping[str, float]) -> str:
    others = {name: time for name, time in times.items() if name != "JAX"}
    if not others or "JAX" not in times:
        return "–"
    name = min(others, key=others.__getitem__)
    return f"{times['JAX']:.3g}; {others[name]:.3g} {name}"


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    return (
        f"{machine['device']}, {machine['system']}, Python {machine['python']}, "
        f"jax {machine['packages']['jax']}; commit {machine['commit']}.\n"
    )


def _of_commit(commit: str) -> list[Path]:
    return sorted(NUMBERS.glob(f"*-{commit}*-*.json"))


def main() -> None:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("keep").add_argument("file", type=Path)
    commands.add_parser("write")
    comparison = commands.add_parser("compare")
    comparison.add_argument("before", type=_of_commit)
    comparison.add_argument("after", type=_of_commit)
    options = parser.parse_args()
    try:
        if options.command == "keep":
            print(keep(options.file))
        elif options.command == "compare":
            print(compare(options.before, options.after))
        else:
            for path in sorted(DOCS.glob("*.md")):
                page = path.read_text(encoding="utf-8")
                path.write_text(with_tables(page), encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"benchmark_tables: {error}")


if __name__ == "__main__":
    main()
