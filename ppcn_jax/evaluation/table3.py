"""The paper's Table 3: enhancers compared on one test split, in quality and in speed."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import rich.console
import rich.progress

from ppcn_jax.evaluation.evaluate import Enhance, Pairs, evaluate, make_enhance, unchanged
from ppcn_jax.evaluation.pirm import enhancement_scores
from ppcn_jax.evaluation.published import printed_in_table3
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
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, Model


def run(config, workdir: pathlib.Path, pairs: Pairs) -> list[dict[str, Any]]:
    """Score and time `config.models`: table3.json, table3.csv and table3.md in `workdir`.

    Args:
        config: see configs/table3.py.
        workdir: where the table goes.
        pairs: the test split.

    Returns:
        What table3.json holds: a row per model, the first one that of the unchanged input.

    Raises:
        InputError: a model that is not there or does not enhance, or too few runs.
    """
    if config.timing.runs < 1:
        raise InputError(f"config.timing.runs is {config.timing.runs}; it must be positive")
    models = load_models(config.models, field="models", names=ENHANCERS, use="enhance")
    console = rich.console.Console()

    def scored(title: str, enhance: Enhance) -> dict[str, Any]:
        def track(items: Iterable) -> Iterable:
            return rich.progress.track(items, description=title, console=console)

        return evaluate(enhance, pairs, track=track)

    results = {"input": scored("input", unchanged)}
    for name, model in models.items():
        results[name] = scored(name, make_enhance(model.module, model.params))
    times = time_models(models, runs=config.timing.runs, console=console)
    rows = make_rows(models, results, times)
    text = markdown(rows)
    files = write_table(workdir, "table3", rows, text)
    print_table(console, [c for c in COLUMNS if c.title != "paper"], rows)
    console.print(*_notes(rows), sep="\n", markup=False, highlight=False)
    print_written(*files)
    return rows


def make_rows(
    models: dict[str, Model], results: dict[str, dict[str, Any]], times: dict[str, float]
) -> list[dict[str, Any]]:
    """The table's rows.

    Args:
        models: by name.
        results: of `evaluate`, by the same names and "input".
        times: of `time_models`.

    Returns:
        Plain dictionaries with the same keys; None where there is no value.
    """
    rows = []
    for name, result in results.items():
        model = models.get(name)
        row = model_fields(name, model, times)
        row |= {field: result[field] for field in ("images", "infinite_psnr", "psnr", "ms_ssim")}
        scores: dict[str, float] = {}
        if row["speed_up"] and row["psnr"] is not None:
            scores = enhancement_scores(row["psnr"], row["ms_ssim"], row["speed_up"])
        row |= {f"score_{letter.lower()}": scores.get(letter) for letter in "ABC"}
        printed = printed_in_table3(model) if model else None
        for field in ("psnr", "ms_ssim", "milliseconds"):
            row[f"paper_{field}"] = getattr(printed, field, None)
        rows.append(row)
    return rows


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


def markdown(rows: Sequence[Row]) -> str:
    """The table for people, with what its columns mean.

    Args:
        rows: of `make_rows`.

    Returns:
        Markdown.
    """
    return markdown_table(COLUMNS, rows) + "\n" + "\n".join(_notes(rows)) + "\n"


def _notes(rows: Sequence[Row]) -> list[str]:
    meaning = (
        f"{rows[0]['images']} images. Milliseconds for a 1280x720 image on: {rows[0]['device']}. "
        "Speed-up over SRCNN in the same run; A, B, C: the scores of PIRM 2018. Paper: printed "
        "there for the same weights on 400 images, times on an Intel i7-8700K."
    )
    notes = [meaning]
    infinite = [f"{row['infinite_psnr']} of {row['model']}" for row in rows if row["infinite_psnr"]]
    if infinite:
        notes.append(
            f"Images of infinite PSNR (identical to their target) are left out of its mean: "
            f"{', '.join(infinite)}."
        )
    return notes
