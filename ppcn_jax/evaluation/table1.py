"""The paper's Table 1: super-resolvers compared on several test sets, in quality and in speed."""

import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import rich.console
import rich.progress

from ppcn_jax.evaluation.evaluate import Enhance, evaluate, make_enhance, unchanged
from ppcn_jax.evaluation.pirm import super_resolution_score
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
from ppcn_jax.photos import resize
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.strips import closeup, most_detailed, save_png, strip
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import SUPER_RESOLVERS, Model

# Of the full-range gray level, as BT.601's studio-range Y without its range.
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)
CLOSEUP_SIDE, CLOSEUP_FACTOR = 64, 4
_SCORES = (
    "images",
    "infinite_psnr",
    "psnr_y",
    "ssim_y",
    "psnr_rgb",
    "ssim_rgb",
    "ms_ssim_rgb",
)


def run(config, workdir: pathlib.Path, sets: Mapping[str, Photos]) -> list[dict[str, Any]]:
    """Score and time `config.models`: table1.json, .csv, .md and .png in `workdir`.

    Args:
        config: see configs/table1.py.
        workdir: where the table goes.
        sets: test sets by name.

    Returns:
        What table1.json holds: a row per set and model, bicubic first.

    Raises:
        InputError: a model that is not there or does not enlarge by one scale with the others, an
            unknown kernel, or too few runs.
    """
    if config.timing.runs < 1:
        raise InputError(f"config.timing.runs is {config.timing.runs}; it must be positive")
    if config.kernel not in resize.KERNELS:
        known = " and ".join(map(repr, resize.KERNELS))
        raise InputError(f"config.kernel is {config.kernel!r}; there are {known}")
    models = load_models(config.models, field="models", names=SUPER_RESOLVERS, use="enlarge")
    scale = _common_scale(models)
    console = rich.console.Console()
    enlargers: dict[str, Enhance] = {"bicubic": unchanged}
    for name, model in models.items():
        enlargers[name] = of_any_channels(make_enhance(model.module, model.params))
    pairs = {
        name: Degraded(photos, scale=scale, kernel=config.kernel) for name, photos in sets.items()
    }
    results = {}
    for name, test_set in pairs.items():
        for model_name, enlarger in enlargers.items():
            track = _tracker(f"{name}: {model_name}", console)
            score = scorer(scale, config.kernel)
            results[name, model_name] = evaluate(enlarger, test_set, score=score, track=track)
    times = time_models(models, runs=config.timing.runs, console=console)
    rows = make_rows(models, results, times, config.kernel)
    files = write_table(workdir, "table1", rows, markdown(rows))
    files.append(workdir / "table1.png")
    save_png(files[-1], picture(enlargers, pairs))
    print_table(console, [c for c in COLUMNS if c.title != "SSIM RGB"], rows)
    console.print(_note(rows), markup=False, highlight=False)
    print_written(*files)
    return rows


def make_rows(
    models: Mapping[str, Model],
    results: Mapping[tuple[str, str], dict[str, Any]],
    times: Mapping[str, float],
    kernel: str,
) -> list[dict[str, Any]]:
    """The table's rows.

    Args:
        models: by name.
        results: of `evaluate`, by set and name, "bicubic" among the names.
        times: of `time_models`.
        kernel: "pillow" or "matlab".

    Returns:
        Plain dictionaries with the same keys; None where there is no value.
    """
    rows = []
    for (test_set, name), result in results.items():
        row = {"set": test_set, "kernel": kernel} | model_fields(name, models.get(name), times)
        row |= {field: result[field] for field in _SCORES}
        row["score_a"] = None
        if row["speed_up"] and row["psnr_rgb"] is not None:
            row["score_a"] = super_resolution_score(
                row["psnr_rgb"], row["ms_ssim_rgb"], row["speed_up"]
            )
        rows.append(row)
    return rows


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


def markdown(rows: Sequence[Row]) -> str:
    """The table for people, with what its columns mean.

    Args:
        rows: of `make_rows`.

    Returns:
        Markdown.
    """
    return f"{markdown_table(COLUMNS, rows)}\n{_note(rows)}\n"


def picture(enlargers: Mapping[str, Enhance], sets: Mapping[str, Degraded]) -> np.ndarray:
    """Closeups of two photos of each set, where their enlargements have most detail.

    Args:
        enlargers: by name.
        sets: by name.

    Returns:
        uint8 `[height, width, 3]`.
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


def _common_scale(models: Mapping[str, Model]) -> int:
    scales = {name: scale_of(model) for name, model in models.items()}
    if len(set(scales.values())) > 1:
        raise InputError(f"config.models enlarge by different scales: {scales}")
    return next(iter(scales.values()))


def of_any_channels(enlarge: Enhance) -> Enhance:
    """An enlarger of photos in color for gray ones too.

    Args:
        enlarge: of three channels.

    Returns:
        The same, which enlarges a gray image in all three channels and weighs them to gray again.
    """

    def apply(image: np.ndarray) -> np.ndarray:
        if image.shape[2] == 3:
            return enlarge(image)
        return enlarge(np.repeat(image, 3, axis=2)) @ _GRAY[:, None]

    return apply


def _tracker(title: str, console: rich.console.Console) -> Callable[[Iterable], Iterable]:
    return lambda items: rich.progress.track(items, description=title, console=console)


def _note(rows: Sequence[Row]) -> str:
    counts = {row["set"]: row["images"] for row in rows}
    return (
        f"Bicubic kernel: {rows[0]['kernel']}. "
        + ", ".join(f"{name}: {count} images" for name, count in counts.items())
        + f". Milliseconds for a 1280x720 result on: {rows[0]['device']}. A: the score of PIRM "
        "2018, track A, from RGB and the speed-up over SRCNN in the same run."
    )
