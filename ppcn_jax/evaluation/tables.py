"""Tables of results: JSON and CSV for programs, Markdown and a console table for people."""

import csv
import io
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import rich.box
import rich.cells
import rich.console
import rich.table
import rich.text

from ppcn_jax.inference.runtimes import describe_runtime
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.machine import device_name
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, Model
from ppcn_jax.weights.safetensors_file import SUFFIX

Row = Mapping[str, Any]

_NARROWEST_NAME = 12  # characters: a terminal that is too narrow folds names down to this width


class Column(NamedTuple):
    """One column of a table for people.

    Attributes:
        title: heading.
        cell: returns the text of a row's cell.
        folds: a narrow terminal may break this column's cells into several lines.
    """

    title: str
    cell: Callable[[Row], str]
    folds: bool = True


def number(title: str, field: str, form: str) -> Column:
    """A column of numbers in the format `form`, e.g. ".2f", with a dash for None."""

    def cell(row: Row) -> str:
        return "–" if row[field] is None else format(row[field], form)

    return Column(title, cell, folds=False)


def markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Format a Markdown table, first column left-aligned and the others right-aligned."""
    lines = [[column.title for column in columns], ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[column.cell(row).replace("|", "\\|") for column in columns] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def print_table(
    console: rich.console.Console, columns: Sequence[Column], rows: Sequence[Row]
) -> None:
    """Print the same table without ever shortening a number.

    A narrow terminal folds long names; a pipe or file gets lines as long as they need to be.
    """
    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        width = max(map(rich.cells.cell_len, [column.title, *map(column.cell, rows)]))
        if column.folds and console.is_terminal:
            width = min(width, _NARROWEST_NAME)
        # rich never shrinks a column below min_width, even if lines get longer than the console.
        justify: Literal["left", "right"] = "right" if index else "left"
        grid.add_column(column.title, justify=justify, overflow="fold", min_width=width)
    for row in rows:
        grid.add_row(*(rich.text.Text(column.cell(row)) for column in columns))
    console.print(grid, crop=False)


def write_table(
    workdir: pathlib.Path, name: str, rows: Sequence[Row], markdown: str
) -> list[pathlib.Path]:
    """Write a table as `name.json`, `name.csv` and `name.md`, and return these files."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files = [workdir / f"{name}.{suffix}" for suffix in ("json", "csv", "md")]
    write_json(files[0], list(rows))
    write_bytes(files[1], buffer.getvalue().encode())
    write_bytes(files[2], markdown.encode())
    return files


def print_written(*files: pathlib.Path) -> None:
    """Print which files were written, in one line that can be copied."""
    print(f"wrote {', '.join(map(str, files))}")


def model_fields(
    name: str, model: Model | None, times: Mapping[str, float], runtime: str
) -> dict[str, Any]:
    """Fields that the rows of every table have: what the model is and how fast it is.

    `model` is None for a baseline without a network, whose fields are then None, too. `times`
    come from `time_models`; the speed-up is over SRCNN. All networks ran in `runtime`.
    """
    return {
        "model": name,
        "network": model.name if model else None,
        "weights": model.source if model else None,
        "parameters": model.parameters if model else 0,
        "milliseconds": times[name] if model else None,
        "speed_up": times["SRCNN"] / times[name] if model else None,
        "runtime": describe_runtime(runtime) if model else None,
        "device": device_name(),
    }


def load_models(paths: str, *, field: str, names: Sequence[str], use: str) -> dict[str, Model]:
    """Load the models listed in a configuration field, separated by commas.

    They are keyed by file or folder name without suffix, or by path where two names are equal.
    Raises InputError if the list is empty, repeats a model, or has a model whose network is not
    in `names`; `use` is the verb for that message, e.g. "enhance".
    """
    given = [path.strip() for path in paths.split(",") if path.strip()]
    if not given:
        raise InputError(
            f"config.{field} is empty: list weights files, training workdirs or released "
            f"checkpoints, separated by commas, with --config.{field}="
        )
    short = [_short_name(path) for path in given]
    labels = [p if short.count(name) > 1 else name for p, name in zip(given, short, strict=True)]
    if len(set(labels)) < len(labels):
        raise InputError(f"config.{field} lists a model twice: {paths}")
    models = {label: load_model(path) for label, path in zip(labels, given, strict=True)}
    for model in models.values():
        check_scored(model, names, use)
    return models


def check_scored(model: Model, names: Collection[str], use: str) -> None:
    """Check that a table scores a network; see `Model.check_use`.

    Raises:
        InputError: it is another one; the message names the configuration that scores it.
    """
    try:
        model.check_use(names, use)
    except InputError as error:
        other = "table1.py scores super-resolvers"
        if model.name in ENHANCERS:
            other = "evaluate.py scores enhancers"
        raise InputError(f"{error}; configs/{other}") from error


def _short_name(path: str) -> str:
    name = pathlib.Path(path).name
    for suffix in (SUFFIX, ".index", ".ckpt"):
        name = name.removesuffix(suffix)
    return name
