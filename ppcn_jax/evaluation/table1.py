"""The paper's Table 1: quality and speed of super-resolvers on several test sets."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import rich.console
from ml_collections import ConfigDict

from ppcn_jax.evaluation.evaluate import Enhance, evaluate, make_runner, unchanged
from ppcn_jax.evaluation.paper import super_resolution_score
from ppcn_jax.evaluation.progress import progress_bar
from ppcn_jax.evaluation.super_resolution import Degraded, Photos, scorer
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
from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.ops.luma import FULL_RANGE_WEIGHTS
from ppcn_jax.photos import resize
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.strips import closeup, most_detailed, save_png, strip
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import SUPER_RESOLVERS, Model

CLOSEUP_SIDE, CLOSEUP_FACTOR = 64, 4
COLUMNS = (
    Column("set", lambda row: row["set"]),
    Column("model", lambda row: row["model"]),
    number("parameters", "parameters", ","),
    number("PSNR Y", "psnr_y", ".2f"),
    number("SSIM Y", "ssim_y", ".4f"),
    number("PSNR RGB", "psnr_rgb", ".2f"),
    number("SSIM RGB", "ssim_rgb", ".4f"),
    number("ms", "milliseconds", ",.0f"),
    number("A", "score_a", ".2f"),
)
CONSOLE_COLUMNS = [column for column in COLUMNS if column.title != "SSIM RGB"]
_SCORES = (
    "images",
    "infinite_psnr",
    "psnr_y",
    "ssim_y",
    "psnr_rgb",
    "ssim_rgb",
    "ms_ssim_rgb",
)


def run(
    config: ConfigDict, workdir: pathlib.Path, sets: Mapping[str, Photos]
) -> list[dict[str, Any]]:
    """Score `config.models`, all of one scale, on every test set and time them.

    Writes table1.json, table1.csv, table1.md and table1.png into `workdir`. Returns the rows: for
    every set one per model, bicubic enlargement first.
    """
    if config.timing.runs < 1:
        raise InputError(f"config.timing.runs is {config.timing.runs}; it must be positive")
    if config.kernel not in resize.KERNELS:
        known = " or ".join(map(repr, resize.KERNELS))
        raise InputError(f"config.kernel is {config.kernel!r}; it must be {known}")
    models = load_models(config.models, field="models", names=SUPER_RESOLVERS, use="enlarge")
    scales = {name: scale_of(model) for name, model in models.items()}
    scale = next(iter(scales.values()))
    if set(scales.values()) != {scale}:
        raise InputError(f"config.models has models of different scales: {scales}")
    runtime = choose_runtime(config.runtime)
    console = rich.console.Console()
    enlargers: dict[str, Enhance] = {"bicubic": unchanged}
    for name, model in models.items():
        enlargers[name] = accept_gray(make_runner(model, runtime))
    pairs = {
        name: Degraded(photos, scale=scale, kernel=config.kernel) for name, photos in sets.items()
    }
    score = scorer(scale, config.kernel)
    results = {}
    for set_name, test_set in pairs.items():
        for name, enlarge in enlargers.items():
            track = progress_bar(f"{set_name}: {name}", console)
            results[set_name, name] = evaluate(enlarge, test_set, score=score, track=track)
    times = time_models(models, runtime, runs=config.timing.runs, console=console)
    rows = make_rows(models, results, times, config.kernel, runtime)
    note = _note(rows)
    files = write_table(workdir, "table1", rows, f"{markdown_table(COLUMNS, rows)}\n{note}\n")
    files.append(workdir / "table1.png")
    save_png(files[-1], picture(enlargers, pairs))
    print_table(console, CONSOLE_COLUMNS, rows)
    console.print(note, markup=False, highlight=False)
    print_written(*files)
    return rows


def accept_gray(enlarge: Enhance) -> Enhance:
    """Let an enlarger of RGB images enlarge gray ones as well: as RGB, converted to gray again."""
    weights = np.array(FULL_RANGE_WEIGHTS, np.float32)[:, None]

    def apply(image: np.ndarray) -> np.ndarray:
        if image.shape[2] == 3:
            return enlarge(image)
        return enlarge(np.repeat(image, 3, axis=2)) @ weights

    return apply


def make_rows(
    models: Mapping[str, Model],
    results: Mapping[tuple[str, str], Mapping[str, Any]],
    times: Mapping[str, float],
    kernel: str,
    runtime: str,
) -> list[dict[str, Any]]:
    """Build the rows from the results of `evaluate`, by set and model, and from the times."""
    rows = []
    for (test_set, name), result in results.items():
        row = {"set": test_set, "kernel": kernel} | model_fields(
            name, models.get(name), times, runtime
        )
        row |= {field: result[field] for field in _SCORES}
        row["score_a"] = None
        if row["speed_up"] and row["psnr_rgb"] is not None:
            row["score_a"] = super_resolution_score(
                row["psnr_rgb"], row["ms_ssim_rgb"], row["speed_up"]
            )
        rows.append(row)
    return rows


def picture(enlargers: Mapping[str, Enhance], sets: Mapping[str, Degraded]) -> np.ndarray:
    """Close-ups of two photos of each set, cut where the bicubic enlargement has most detail.

    Returns uint8 `[H, W, 3]`.
    """
    rows, captions = [], []
    for set_name, test_set in sets.items():
        for index in sorted({0, len(test_set) // 2}):
            bicubic, target = test_set[index]
            side = min(CLOSEUP_SIDE, *target.shape[:2])
            corner = most_detailed(bicubic, side)
            images = [*(enlarge(bicubic) for enlarge in enlargers.values()), target]
            images = [np.broadcast_to(to_uint8(image), (*image.shape[:2], 3)) for image in images]
            rows.append([closeup(image, corner, side, CLOSEUP_FACTOR) for image in images])
            captions.append(f"{set_name}: {test_set.names[index]}")
    return strip(rows, [*enlargers, "target"], captions)


def _note(rows: Sequence[Row]) -> str:
    counts = {row["set"]: row["images"] for row in rows}
    return (
        f"Bicubic kernel: {rows[0]['kernel']}. "
        + ", ".join(f"{name}: {count} images" for name, count in counts.items())
        + f". Milliseconds for a 1280x720 result by {rows[-1]['runtime']} on: {rows[0]['device']}. A: the score of PIRM "
        "2018, track A, from RGB and the speed-up over SRCNN in the same run."
    )
