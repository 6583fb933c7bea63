"""The paper's Table 3: quality and speed of enhancers on one test split."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import rich.console
from ml_collections import ConfigDict

from ppcn_jax.evaluation.evaluate import evaluate, make_runner, unchanged
from ppcn_jax.evaluation.paper import enhancement_scores, published_in_table3
from ppcn_jax.evaluation.progress import progress_bar
from ppcn_jax.evaluation.selection import Pairs
from ppcn_jax.evaluation.tables import (
    Column,
    Row,
    load_models,
    markdown_table,
    model_fields,
    number,
    print_table,
    print_written,
    write_table,
)
from ppcn_jax.evaluation.timing import time_models
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, Model

COLUMNS = (
    Column("model", lambda row: row["model"]),
    number("parameters", "parameters", ","),
    number("PSNR, dB", "psnr", ".3f"),
    number("paper", "paper_psnr", ".2f"),
    number("MS-SSIM", "ms_ssim", ".4f"),
    number("paper", "paper_ms_ssim", ".4f"),
    number("ms", "milliseconds", ",.0f"),
    number("paper", "paper_milliseconds", ",.0f"),
    number("speed-up", "speed_up", ".2f"),
    number("A", "score_a", ".2f"),
    number("B", "score_b", ".2f"),
    number("C", "score_c", ".2f"),
)
CONSOLE_COLUMNS = [column for column in COLUMNS if column.title != "paper"]


def run(config: ConfigDict, workdir: pathlib.Path, pairs: Pairs) -> list[dict[str, Any]]:
    """Score `config.models` on a test split and time them.

    Writes table3.json, table3.csv and table3.md into `workdir`. Returns the rows, the first one
    for the unchanged input.
    """
    if config.timing.runs < 1:
        raise InputError(f"config.timing.runs is {config.timing.runs}; it must be positive")
    models = load_models(config.models, field="models", names=ENHANCERS, use="enhance")
    runtime = choose_runtime(config.runtime)
    console = rich.console.Console()
    results = {"input": evaluate(unchanged, pairs, track=progress_bar("input", console))}
    for name, model in models.items():
        enhance = make_runner(model, runtime)
        results[name] = evaluate(enhance, pairs, track=progress_bar(name, console))
    times = time_models(models, runtime, runs=config.timing.runs, console=console)
    rows = make_rows(models, results, times, runtime)
    notes = _notes(rows)
    text = markdown_table(COLUMNS, rows) + "\n" + "\n".join(notes) + "\n"
    files = write_table(workdir, "table3", rows, text)
    print_table(console, CONSOLE_COLUMNS, rows)
    console.print(*notes, sep="\n", markup=False, highlight=False)
    print_written(*files)
    return rows


def make_rows(
    models: Mapping[str, Model],
    results: Mapping[str, Mapping[str, Any]],
    times: Mapping[str, float],
    runtime: str,
) -> list[dict[str, Any]]:
    """Build the rows from the results of `evaluate` and the times of `time_models`, by name."""
    rows = []
    for name, result in results.items():
        model = models.get(name)
        row = model_fields(name, model, times, runtime)
        row |= {field: result[field] for field in ("images", "infinite_psnr", "psnr", "ms_ssim")}
        scores: dict[str, float] = {}
        if row["speed_up"] and row["psnr"] is not None:
            scores = enhancement_scores(row["psnr"], row["ms_ssim"], row["speed_up"])
        row |= {f"score_{letter.lower()}": scores.get(letter) for letter in "ABC"}
        published = published_in_table3(model) if model else None
        for field in ("psnr", "ms_ssim", "milliseconds"):
            row[f"paper_{field}"] = getattr(published, field, None)
        rows.append(row)
    return rows


def _notes(rows: Sequence[Row]) -> list[str]:
    """What the columns mean, and which images are excluded from a mean."""
    meaning = (
        f"{rows[0]['images']} images. Milliseconds for a 1280x720 image by {rows[-1]['runtime']} on: "
        f"{rows[0]['device']}. "
        "Speed-up: over SRCNN in the same run. A, B, C: scores of PIRM 2018. Paper: published "
        "values for the same weights on 400 images, times on an Intel i7-8700K."
    )
    notes = [meaning]
    infinite = [f"{row['infinite_psnr']} of {row['model']}" for row in rows if row["infinite_psnr"]]
    if infinite:
        notes.append(
            "Mean PSNR excludes images with infinite PSNR (identical to their target): "
            f"{', '.join(infinite)}."
        )
    return notes
