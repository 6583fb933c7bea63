"""Tables of results: JSON and CSV for programs, Markdown and a console table for people."""

import csv
import io
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import rich.box
import rich.table

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.machine import device_name
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model
from ppcn_jax.weights.safetensors_file import SUFFIX

Row = Mapping[str, Any]


class Column(NamedTuple):
    """One column of a table for people.

    Attributes:
        title: its heading.
        cell: what it shows of a row.
    """

    title: str
    cell: Callable[[Row], str]


def number(title: str, field: str, form: str) -> Column:
    """A column that shows one number, and a dash where there is none.

    Args:
        title: its heading.
        field: of the row.
        form: how the number is written, e.g. ".2f".

    Returns:
        The column.
    """

    def cell(row: Row) -> str:
        return "–" if row[field] is None else format(row[field], form)

    return Column(title, cell)


def model_fields(name: str, model: Model | None, times: Mapping[str, float]) -> dict[str, Any]:
    """What every table says of a model.

    Args:
        name: of the row.
        model: None for what is no network, such as the unchanged input.
        times: of `time_models`.

    Returns:
        `{"model", "network", "weights", "parameters", "milliseconds", "speed_up", "device"}`;
        None where there is no value. The speed-up is over SRCNN.
    """
    return {
        "model": name,
        "network": model.name if model else None,
        "weights": model.source if model else None,
        "parameters": model.parameters if model else 0,
        "milliseconds": times[name] if model else None,
        "speed_up": times["SRCNN"] / times[name] if model else None,
        "device": device_name(),
    }


def write_table(
    workdir: pathlib.Path, name: str, rows: Sequence[Row], markdown: str
) -> list[pathlib.Path]:
    """Write a table as `name.json`, `name.csv` and `name.md`.

    Args:
        workdir: the folder.
        name: of the table.
        rows: of one form, with plain values.
        markdown: the table for people.

    Returns:
        The files.

    Raises:
        OSError: they cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files = [workdir / f"{name}.{suffix}" for suffix in ("json", "csv", "md")]
    write_json(files[0], list(rows))
    write_bytes(files[1], buffer.getvalue().encode())
    write_bytes(files[2], markdown.encode())
    return files


def markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """A table in Markdown, the first column to the left and the others to the right.

    Args:
        columns: what it shows.
        rows: of which.

    Returns:
        Lines, each with its end.
    """
    lines = [[column.title for column in columns], ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[column.cell(row).replace("|", "\\|") for column in columns] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def console_table(columns: Sequence[Column], rows: Sequence[Row]) -> rich.table.Table:
    """The same table for a rich console.

    Args:
        columns: what it shows.
        rows: of which.

    Returns:
        The table.
    """
    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        grid.add_column(column.title, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(column.cell(row) for column in columns))
    return grid


def load_models(paths: str, *, field: str, names: Sequence[str], use: str) -> dict[str, Model]:
    """The models of a list in a configuration, by short names for a table.

    Args:
        paths: what `load_model` reads, separated by commas.
        field: of the configuration, for errors.
        names: of the networks that will do.
        use: what they are for, for errors.

    Returns:
        Name of the file or folder without its suffix (the path, where two have the same) ->
        model.

    Raises:
        InputError: none, one twice, or one that cannot be used.
    """
    given = [path.strip() for path in paths.split(",") if path.strip()]
    if not given:
        raise InputError(
            f"config.{field} is empty: name weights files, training workdirs or released "
            f"checkpoints, separated by commas, with --config.{field}="
        )
    short = [_short(path) for path in given]
    labels = [p if short.count(name) > 1 else name for p, name in zip(given, short, strict=True)]
    if len(set(labels)) < len(labels):
        raise InputError(f"config.{field} names a model twice: {paths}")
    models = {label: load_model(path) for label, path in zip(labels, given, strict=True)}
    for model in models.values():
        model.check_use(names, use)
    return models


def _short(path: str) -> str:
    name = pathlib.Path(path).name
    for suffix in (SUFFIX, ".index", ".ckpt"):
        name = name.removesuffix(suffix)
    return name
