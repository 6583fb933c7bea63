"""Tables of compiled training steps, as Markdown."""

from collections.abc import Mapping
from typing import Any

from ppcn_jax.evaluation.tables import Column, markdown_table, number

Row = Mapping[str, Any]


def _scaled(title: str, field: str, factor: float, form: str) -> Column:
    def cell(row: Row) -> str:
        value = row[field]
        return "–" if value is None else format(value * factor, form)

    return Column(title, cell)


def _memory(row: Row) -> str:
    needed = f"{row['memory'] / 1e9:.2f}"
    most = row["memory_of_chip"]
    return needed if most is None else f"{needed} of {most / 1e9:.0f}"


def _format(row: Row) -> str:
    format, generator = row["format"], row["generator"]
    return format if generator == format else f"{format}, generator {generator}"


def _exchanges(row: Row) -> str:
    each = (
        f"{one['name']} {one['size'] / 1e6:,.1f}{', overlaps' if one['hidden'] else ''}"
        for one in row["exchanges"]
    )
    return "; ".join(each) or "none"


PROGRAM = (
    Column("topology", lambda row: row["topology"]),
    Column("model", lambda row: row["model"]),
    Column("format", _format),
    number("images a chip", "images", "d"),
)
PROGRAM_COLUMNS = (
    *PROGRAM,
    number("compiled in, s", "compile_seconds", ".0f"),
    Column("memory, GB", _memory),
    _scaled("TFLOP", "flops", 1e-12, ".2f"),
    _scaled("bytes accessed, GB", "bytes_accessed", 1e-9, ".1f"),
    _scaled("moved, GB", "moved", 1e-9, ".1f"),
    _scaled("of it padding, GB", "padding", 1e-9, ".1f"),
    _scaled("arithmetic, ms", "arithmetic_seconds", 1000, ".1f"),
    _scaled("traffic, ms", "traffic_seconds", 1000, ".1f"),
    _scaled("compiler's estimate, ms", "estimated_seconds", 1000, ".1f"),
    Column("exchanges, MB", _exchanges),
)
SCALING_COLUMNS = (
    *PROGRAM,
    number("chips", "chips", "d"),
    number("step, ms", "step_ms", ".2f"),
    number("waiting for exchanges, ms", "exchange_ms", ".3f"),
    number("efficiency", "efficiency", ".1%"),
)
CONVOLUTION_COLUMNS = (
    Column("channels", lambda row: f"{row['inputs']} → {row['outputs']}"),
    number("convolutions", "members", "d"),
    _scaled("numbers, MB", "numbers", 1e-6, ",.0f"),
    _scaled("stored, MB", "stored", 1e-6, ",.0f"),
    Column("factor", lambda row: f"{row['stored'] / row['numbers']:.1f}"),
)
OPERATION_COLUMNS = (
    Column("operation", lambda row: f"`{row['name']}`"),
    Column("from", lambda row: f"`{row['source']}`"),
    _scaled("moved, MB", "moved", 1e-6, ",.0f"),
    _scaled("of it padding, MB", "padding", 1e-6, ",.0f"),
)


def markdown(results: Row) -> str:
    """All tables, for the results of `compile_for.run`."""
    rows = [row for row in results["rows"] if not row["problem"]]
    name = ", ".join(f"{package} {version}" for package, version in results["packages"].items())
    text = f"{name}\n\n{markdown_table(PROGRAM_COLUMNS, rows)}"
    scaling = [{**row, **each} for row in rows for each in row["scaling"]]
    if scaling:
        text += (
            f"\nPredicted weak scaling, at {1e6 * results['latency']:g} µs a message:\n\n"
            f"{markdown_table(SCALING_COLUMNS, scaling)}"
        )
    problems = [
        f"* {', '.join(column.cell(row) for column in PROGRAM)} images a chip: {row['problem']}\n"
        for row in results["rows"]
        if row["problem"]
    ]
    if problems:
        text += f"\nNot compiled:\n\n{''.join(problems)}"
    for row in rows:
        title = ", ".join(column.cell(row) for column in PROGRAM)
        text += (
            f"\nConvolutions, {title} images a chip:\n\n"
            f"{markdown_table(CONVOLUTION_COLUMNS, row['convolutions'])}"
            f"\nOperations that move most, {title} images a chip:\n\n"
            f"{markdown_table(OPERATION_COLUMNS, row['operations'])}"
        )
    return text
