"""A benchmark's results for people: Markdown to paste, and lines on the console."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ppcn_jax.benchmark.floors import Peaks
from ppcn_jax.benchmark.rows import Row
from ppcn_jax.evaluation.tables import Column, markdown_table, number


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
    _text("note", "note"),
)


def markdown(machine: Mapping[str, Any], peaks: Mapping[str, Peaks], rows: Sequence[Row]) -> str:
    """All results, with what they were measured on.

    Args:
        machine: of `describe_machine`.
        peaks: of the machine, by the format of the products.
        rows: of all parts.

    Returns:
        Markdown: a line about the machine, a table, and what could not be measured.
    """
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    flops = ", ".join(f"{each.flops / 1e9:,.0f} GFLOP/s ({name})" for name, each in peaks.items())
    bandwidth = max(each.bandwidth for each in peaks.values())
    measured_on = (
        f"{machine['device']}, {machine['system']}, Python {machine['python']}, {versions}; "
        f"commit {machine['commit'] or 'unknown'}. Peaks in this run: "
        f"{flops}, {bandwidth / 1e9:,.1f} GB/s.\n\n"
    )
    lines = [
        measured_on,
        markdown_table(COLUMNS, [row for row in rows if not row["problem"]]),
    ]
    problems = [_problem(row) for row in rows if row["problem"]]
    if problems:
        lines.append("\nNot measured:\n\n" + "".join(f"* {problem}\n" for problem in problems))
    return "".join(lines)


def console_line(row: Row) -> str:
    """One row as a line of text."""
    if row["problem"]:
        return f"not measured: {_problem(row)}"
    shown: list[tuple[str, Callable[[Row], str]]] = [
        (column.title, column.cell) for column in COLUMNS[2:-1]
    ]
    values = [f"{title} {cell(row)}" for title, cell in shown if cell(row) != "–"]
    return f"{row['task']}: {row['name']}: " + "; ".join([*values, *filter(None, [row["note"]])])


def _problem(row: Row) -> str:
    return f"{row['task']}{', ' if row['name'] else ''}{row['name']}: {row['problem']}"
