"""Results of a benchmark for people: Markdown to paste, a chart, and lines on the console."""

import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ppcn_jax.benchmark.chart import draw_chart
from ppcn_jax.benchmark.peaks import Peaks
from ppcn_jax.benchmark.rows import Row
from ppcn_jax.evaluation.tables import Column, markdown_table, number
from ppcn_jax.runtime.files import write_bytes, write_json

_WIDTH = 120  # characters of a line of text in Markdown


def _milliseconds(title: str, field: str) -> Column:
    def cell(row: Mapping[str, Any]) -> str:
        value = row[field]
        return "–" if value is None else format(value, ",.0f" if value >= 100 else ".3g")

    return Column(title, cell)


def _text(title: str, field: str) -> Column:
    return Column(title, lambda row: row[field] or "")


COLUMNS = (
    _text("task", "task"),
    _text("with", "name"),
    _milliseconds("ms", "milliseconds"),
    number("ratio", "ratio", ".2f"),
    _milliseconds("floor, ms", "floor_milliseconds"),
    number("ms / floor", "over_floor", ".1f"),
    number("difference", "difference", ".1e"),
    number("error", "error", ".1e"),
    number("MB", "megabytes", ",.0f"),
    number("kB", "kilobytes", ",.1f"),
    _text("note", "note"),
)


def markdown(machine: Mapping[str, Any], peaks: Mapping[str, Peaks], rows: Sequence[Row]) -> str:
    """Markdown: the machine (see `describe_machine`), its peaks by number format, and all rows.

    Rows with a problem are listed after the table.
    """
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    flops = ", ".join(f"{each.flops / 1e9:,.0f} GFLOP/s ({name})" for name, each in peaks.items())
    bandwidth = max(each.bandwidth for each in peaks.values())
    text = (
        f"{machine['device']}, {machine['system']}, Python {machine['python']}, {versions}; "
        f"commit {machine['commit'] or 'unknown'}. Peaks in this run: "
        f"{flops}, {bandwidth / 1e9:,.1f} GB/s.\n\n"
    )
    return text + _table(COLUMNS, rows)


def short_markdown(rows: Sequence[Row]) -> str:
    """Markdown: the rows without the columns that have no values, then those with a problem."""
    measured = [row for row in rows if not row["problem"]]
    empty = ("", "–")
    filled = [each for each in COLUMNS if not all(each.cell(row) in empty for row in measured)]
    return _table(filled, rows)


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    table = markdown_table(columns, [row for row in rows if not row["problem"]])
    problems = [
        textwrap.fill(f"* {_problem(row)}", _WIDTH, subsequent_indent="  ", break_long_words=False)
        for row in rows
        if row["problem"]
    ]
    return table + ("\nNot measured:\n\n" + "\n".join(problems) + "\n" if problems else "")


def write_report(
    workdir: pathlib.Path, name: str, results: Mapping[str, Any], text: str
) -> list[pathlib.Path]:
    """Write `name.json`, `name.md` and `name.svg`, and return these files."""
    files = [workdir / f"{name}.{suffix}" for suffix in ("json", "md", "svg")]
    write_json(files[0], results)
    write_bytes(files[1], text.encode())
    write_bytes(files[2], draw_chart(results["rows"]).encode())
    return files


def print_row(row: Row) -> None:
    """Print one row in one line."""
    if row["problem"]:
        print(f"not measured: {_problem(row)}", flush=True)
        return
    cells = [(column.title, column.cell(row)) for column in COLUMNS[2:-1]]
    values = [f"{title} {text}" for title, text in cells if text != "–"]
    values += [row["note"]] if row["note"] else []
    print(f"{row['task']}: {row['name']}: {'; '.join(values)}", flush=True)


def _problem(row: Row) -> str:
    return f"{row['task']}{', ' if row['name'] else ''}{row['name']}: {row['problem']}"
