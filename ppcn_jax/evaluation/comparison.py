"""Recipes compared by runs of several seeds: a table of means and spreads, and learning curves."""

import json
import pathlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rich.console
import rich.progress

from ppcn_jax.evaluation.curves import Curve, draw_curves
from ppcn_jax.evaluation.evaluate import Pairs, evaluate, make_enhance
from ppcn_jax.evaluation.tables import (
    Column,
    Row,
    markdown_table,
    number,
    print_table,
    print_written,
    write_table,
)
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, Model

SCORES = ("psnr", "ms_ssim")


def run(config, workdir: pathlib.Path, pairs: Pairs) -> list[dict[str, Any]]:
    """Score `config.recipes`: comparison.json, .csv and .md, and curves.svg, in `workdir`.

    Args:
        config: see configs/comparison.py.
        workdir: where they go.
        pairs: the test split.

    Returns:
        What comparison.json holds, a row per recipe: its "runs", and of each score the mean over
        them ("psnr"), the standard deviation ("psnr_spread", None for one run) and every value
        ("psnr_of_runs").

    Raises:
        InputError: a recipe without runs, or a run that cannot be used.
    """
    recipes = {name: _load(paths) for name, paths in parse_recipes(config.recipes).items()}
    console = rich.console.Console()
    rows = []
    for name, models in recipes.items():
        results = []
        for path, model in models.items():

            def track(items: Iterable, path=path) -> Iterable:
                return rich.progress.track(items, description=path, console=console)

            results.append(evaluate(make_enhance(model.module, model.params), pairs, track=track))
        rows.append(make_row(name, models, results))
    curves = {name: read_curve(list(models)) for name, models in recipes.items()}
    text = markdown_table(COLUMNS, rows) + f"\n{len(pairs)} images; mean ± deviation of the runs.\n"
    files = write_table(workdir, "comparison", rows, text)
    files.append(workdir / "curves.svg")
    shown = {name: curve for name, curve in curves.items() if curve}
    write_bytes(files[-1], draw_curves(shown, "PSNR of the run's test split, dB").encode())
    print_table(console, COLUMNS, rows)
    print_written(*files)
    return rows


def parse_recipes(text: str) -> dict[str, list[str]]:
    """Recipes and their runs, of one line.

    Args:
        text: "NAME = WORKDIR, WORKDIR; NAME = WORKDIR".

    Returns:
        The workdirs by name.

    Raises:
        InputError: it is something else, or names a recipe or a workdir twice.
    """
    recipes: dict[str, list[str]] = {}
    for recipe in filter(str.strip, text.split(";")):
        name, _, runs = recipe.partition("=")
        paths = [path.strip() for path in runs.split(",") if path.strip()]
        if not name.strip() or not paths:
            raise InputError(
                f"config.recipes has {recipe.strip()!r}: write NAME = WORKDIR, WORKDIR, and a "
                "semicolon between recipes"
            )
        if name.strip() in recipes or len(set(paths)) < len(paths):
            raise InputError(f"config.recipes names something twice: {recipe.strip()}")
        recipes[name.strip()] = paths
    if not recipes:
        raise InputError(
            'config.recipes is empty: compare runs with --config.recipes="NAME = WORKDIR, WORKDIR"'
        )
    return recipes


def _load(paths: Sequence[str]) -> dict[str, Model]:
    models = {path: load_model(path) for path in paths}
    for model in models.values():
        model.check_use(ENHANCERS, "enhance")
    return models


def make_row(
    name: str, models: Mapping[str, Model], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A recipe's row.

    Args:
        name: of the recipe.
        models: of its runs.
        results: of `evaluate`, in the same order.

    Returns:
        See `run`.
    """
    row: dict[str, Any] = {"recipe": name, "runs": list(models)}
    row["steps"] = sorted({model.about.get("steps", "") for model in models.values()})
    for score in SCORES:
        values = [result[score] for result in results]
        known = None not in values
        row[score] = statistics.fmean(values) if known else None
        row[f"{score}_spread"] = statistics.stdev(values) if known and len(values) > 1 else None
        row[f"{score}_of_runs"] = values
    return row


def _with_spread(title: str, score: str, form: str) -> Column:
    mean, spread = number(title, score, form), number("", f"{score}_spread", form)

    def cell(row: Row) -> str:
        return mean.cell(row) + (f" ± {spread.cell(row)}" if row[f"{score}_spread"] else "")

    return Column(title, cell, folds=False)


COLUMNS = (
    Column("recipe", lambda row: row["recipe"]),
    Column("runs", lambda row: str(len(row["runs"]))),
    Column("steps", lambda row: ", ".join(row["steps"])),
    _with_spread("PSNR, dB", "psnr", ".3f"),
    _with_spread("MS-SSIM", "ms_ssim", ".4f"),
)


def read_curve(workdirs: Sequence[str]) -> Curve:
    """PSNR over the steps of several runs of one recipe.

    Args:
        workdirs: of the runs; those of no run, such as weights files, have no curve.

    Returns:
        `[(step, [a value for each run that has one])]` in order of the steps.
    """
    found: dict[int, list[float]] = {}
    for workdir in workdirs:
        path = pathlib.Path(workdir).expanduser() / "metrics.jsonl"
        if path.is_file():
            rows = map(json.loads, path.read_text().splitlines())
            tested = [row for row in rows if row["split"] == "test" and "psnr" in row]
            # A step that was made again after a break has two rows, of equal values.
            for step, value in {row["step"]: row["psnr"] for row in tested}.items():
                found.setdefault(step, []).append(value)
    return sorted(found.items())
