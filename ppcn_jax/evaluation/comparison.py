"""Comparison of training recipes over several seeds: means, standard deviations, curves."""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import rich.console
from ml_collections import ConfigDict

from ppcn_jax.evaluation.curves import Curve, draw_curves
from ppcn_jax.evaluation.evaluate import evaluate, make_runner
from ppcn_jax.evaluation.progress import progress_bar
from ppcn_jax.evaluation.selection import Pairs
from ppcn_jax.evaluation.tables import (
    Column,
    Row,
    check_scored,
    markdown_table,
    number,
    print_table,
    print_written,
    write_table,
)
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.runtime.appended import read
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.storage import to_path
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, Model


def _with_deviation(title: str, score: str, form: str) -> Column:
    mean, deviation = number(title, score, form), number("", f"{score}_spread", form)

    def cell(row: Row) -> str:
        return mean.cell(row) + (f" ± {deviation.cell(row)}" if row[f"{score}_spread"] else "")

    return Column(title, cell, folds=False)


COLUMNS = (
    Column("recipe", lambda row: row["recipe"]),
    Column("runs", lambda row: str(len(row["runs"]))),
    Column("steps", lambda row: ", ".join(row["steps"])),
    _with_deviation("PSNR, dB", "psnr", ".3f"),
    _with_deviation("MS-SSIM", "ms_ssim", ".4f"),
)


def run(config: ConfigDict, workdir: pathlib.Path, pairs: Pairs) -> list[dict[str, Any]]:
    """Score the runs of `config.recipes` on a test split.

    Writes comparison.json, .csv, .md and curves.svg into `workdir`. Returns the rows (see
    `make_row`), one per recipe.
    """
    recipes: dict[str, dict[str, Model]] = {}
    for name, paths in parse_recipes(config.recipes).items():
        recipes[name] = {path: load_model(path) for path in paths}
        for model in recipes[name].values():
            check_scored(model, ENHANCERS, "enhance")
    console = rich.console.Console()
    rows = []
    for name, models in recipes.items():
        runtime = choose_runtime(config.runtime)
        results = []
        for path, model in models.items():
            runner = make_runner(model, runtime)
            results.append(evaluate(runner, pairs, track=progress_bar(path, console)))
        rows.append(make_row(name, models, results))
    curves = {name: read_curve(list(models)) for name, models in recipes.items()}
    curves = {name: curve for name, curve in curves.items() if curve}
    text = markdown_table(COLUMNS, rows)
    text += f"\n{len(pairs)} images; mean ± standard deviation over the runs.\n"
    files = write_table(workdir, "comparison", rows, text)
    files.append(workdir / "curves.svg")
    write_bytes(files[-1], draw_curves(curves, "PSNR of the run's test split, dB").encode())
    print_table(console, COLUMNS, rows)
    print_written(*files)
    return rows


def parse_recipes(text: str) -> dict[str, list[str]]:
    """Parse "NAME = WORKDIR, WORKDIR; NAME = WORKDIR" into workdirs by name."""
    recipes: dict[str, list[str]] = {}
    for recipe in filter(str.strip, text.split(";")):
        name, _, runs = recipe.partition("=")
        paths = [path.strip() for path in runs.split(",") if path.strip()]
        if not name.strip() or not paths:
            raise InputError(
                f"config.recipes has {recipe.strip()!r}: write NAME = WORKDIR, WORKDIR, and "
                "separate recipes by semicolons"
            )
        if name.strip() in recipes or len(set(paths)) < len(paths):
            raise InputError(f"config.recipes repeats a name or a workdir: {recipe.strip()}")
        recipes[name.strip()] = paths
    if not recipes:
        raise InputError(
            'config.recipes is empty: compare runs with --config.recipes="NAME = WORKDIR, WORKDIR"'
        )
    return recipes


def make_row(
    name: str, models: Mapping[str, Model], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Build a recipe's row from the results of `evaluate` for its runs.

    Returns `{"recipe", "runs", "steps"}` and for "psnr" and "ms_ssim" each the mean over the
    runs ("psnr"), the standard deviation ("psnr_spread", None for one run) and all values
    ("psnr_of_runs").
    """
    row: dict[str, Any] = {"recipe": name, "runs": list(models)}
    row["steps"] = sorted({model.about.get("steps", "") for model in models.values()})
    for score in ("psnr", "ms_ssim"):
        values = [result[score] for result in results]
        known = None not in values
        row[score] = statistics.fmean(values) if known else None
        row[f"{score}_spread"] = statistics.stdev(values) if known and len(values) > 1 else None
        row[f"{score}_of_runs"] = values
    return row


def read_curve(workdirs: Sequence[str]) -> Curve:
    """Read the PSNR over training steps that the runs of a recipe have logged.

    Returns `[(step, [PSNR of each run that logged one])]` in the order of steps. What is not a
    training workdir, such as a weights file, is skipped.
    """
    found: dict[int, list[float]] = {}
    for workdir in workdirs:
        path = to_path(workdir).expanduser() / "metrics.jsonl"
        if content := read(path):
            rows = map(json.loads, content.splitlines())
            tested = [row for row in rows if row["split"] == "test" and "psnr" in row]
            # A step that was repeated after an interruption has two rows with equal values.
            for step, value in {row["step"]: row["psnr"] for row in tested}.items():
                found.setdefault(step, []).append(value)
    return sorted(found.items())
