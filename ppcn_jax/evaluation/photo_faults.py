"""Judge enhancers on ordinary photos, without reference pictures: a table, JSON and a picture."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import rich.console
from ml_collections import ConfigDict

from ppcn_jax.evaluation.evaluate import diverged, progress_bar
from ppcn_jax.evaluation.faults import FAULTS, measure
from ppcn_jax.evaluation.held_out_photos import list_photos
from ppcn_jax.evaluation.tables import (
    Column,
    load_models,
    markdown_table,
    number,
    print_table,
    print_written,
)
from ppcn_jax.inference.enhance import enhance
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.photos.levels import to_float
from ppcn_jax.photos.read import read_srgb
from ppcn_jax.photos.strips import save_png, strip
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.storage import to_path
from ppcn_jax.weights.model import ENHANCERS

COLUMNS = (
    Column("model", lambda row: row["model"]),
    number("hue turned, degrees", "hue", ".1f"),
    number("share over 20", "hue_over_20", ".3f"),
    number("color lost", "lost", ".3f"),
    number("color added", "added", ".4f"),
    number("highlights dimmed", "dimmed", ".3f"),
    number("grain", "grain", ".2f"),
    number("border", "border", ".2f"),
    number("line", "line", ".2f"),
)
_KINDS = ("hue", "lost", "added", "dimmed", "grain", "border")  # one row of the picture each
_CROP = 200  # px
_TARGET = "target"


class _Crop(NamedTuple):
    """The place where a model's fault of one kind is worst so far."""

    severity: float  # sum over the crop
    caption: str
    before: np.ndarray
    after: np.ndarray


def run(config: ConfigDict, workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Measure the faults of `config.models` on the photos in `config.photos`.

    Writes faults.json, faults.md and faults.png (the worst places of each kind) into `workdir`.
    Returns the rows of the table, the means over photos. `config.targets` adds a row: what the
    pictures that the models were trained to match change in the photos.

    Raises:
        InputError: a model or picture cannot be used, a target is missing, or the folder has no photos.
    """
    models = load_models(config.models, field="models", names=ENHANCERS, use="enhance")
    photos = list_photos(config.photos, field="config.photos")[:: config.every]
    targets = _targets(config.targets, photos)
    names = [*models, *([_TARGET] if targets else [])]
    runtime = choose_runtime(config.runtime)
    console = rich.console.Console()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    worst: dict[tuple[str, str], _Crop] = {}
    for index in progress_bar("photos", console)(range(len(photos))):
        photo_name = photos[index].as_posix()
        photo = to_float(read_srgb(to_path(config.photos) / photos[index]))
        for name in names:
            if name in models:
                after = enhance(photo, models[name], runtime=runtime)
            else:
                after = to_float(read_srgb(targets[index]))
            if not np.isfinite(after).all():
                raise diverged(photo_name)
            if after.shape != photo.shape:
                raise InputError(
                    f"{targets[index]} is {after.shape[1]}x{after.shape[0]} px, but its photo "
                    f"{photo.shape[1]}x{photo.shape[0]}; align them to one size"
                )
            values, maps = measure(photo, after)
            results[name].append({"name": photo_name, **values})
            for kind in _KINDS:
                crop = _worst_crop(maps[kind], f"{name}: {photo_name}", photo, after)
                worst[kind, name] = max(
                    worst.get((kind, name), crop), crop, key=lambda c: c.severity
                )
    rows: list[dict[str, Any]] = [
        {"model": name, **_means(scores)} for name, scores in results.items()
    ]
    note = f"Means over {len(photos)} photos of {config.photos}."
    files = [workdir / f"faults.{suffix}" for suffix in ("json", "md", "png")]
    per_photo = [
        {**row, "per_photo": scores} for row, scores in zip(rows, results.values(), strict=True)
    ]
    write_json(files[0], {"photos": len(photos), "models": per_photo})
    write_bytes(files[1], (markdown_table(COLUMNS, rows) + f"\n{note}\n").encode())
    save_png(files[2], _picture(names, worst))
    print_table(console, COLUMNS, rows)
    console.print(note, markup=False, highlight=False)
    print_written(*files)
    return rows


def _targets(folder: str, photos: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """The target of each photo; none if no folder is named."""
    targets = [to_path(folder) / photo for photo in photos] if folder else []
    for target in targets:
        if not target.is_file():
            raise InputError(
                f"{target} does not exist; config.targets must hold a picture under the same name "
                "for each photo"
            )
    return targets


def _means(scores: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Means over the photos in which a fault could be measured."""
    means: dict[str, float | None] = {}
    for fault in FAULTS:
        known = [score[fault] for score in scores if score[fault] is not None]
        means[fault] = float(np.mean(known)) if known else None
    return means


def _worst_crop(map: np.ndarray, caption: str, before: np.ndarray, after: np.ndarray) -> _Crop:
    """The square with the largest sum of a map, in which NaN counts as 0."""
    side = min(_CROP, *map.shape)
    sums = np.pad(np.nan_to_num(map), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(squares.argmax(), squares.shape)
    place = slice(top, top + side), slice(left, left + side)
    # Copies: views would keep whole photos in memory.
    crops = before[place].copy(), np.clip(after[place], 0, 1)
    return _Crop(float(squares[top, left]), caption, *crops)


def _picture(models: Sequence[str], worst: Mapping[tuple[str, str], _Crop]) -> np.ndarray:
    """One row for each kind of fault; for each model, the photo before and after."""
    rows, captions = [], []
    for kind in _KINDS:
        crops = [worst[kind, name] for name in models]
        rows.append([image for crop in crops for image in (crop.before, crop.after)])
        captions.append(f"{kind} -- " + "; ".join(crop.caption for crop in crops))
    return strip(rows, [title for name in models for title in ("before", name)], captions)
