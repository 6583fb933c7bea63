"""How good is an enhancer: PSNR and MS-SSIM on held-out pairs, a table and a picture."""

import math
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.progress

from ppcn_jax.evaluation.tables import Column, Row, number, print_table, print_written
from ppcn_jax.inference.enhance import apply_network
from ppcn_jax.metrics import ms_ssim, psnr
from ppcn_jax.models.layers import Params
from ppcn_jax.photos.strips import save_png, strip
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import ENHANCERS, Model

Enhance = Callable[[np.ndarray], np.ndarray]
Score = dict[str, Any]
ScoreImage = Callable[[str, np.ndarray, np.ndarray], Score]


class Pairs(Protocol):
    """Held-out pairs: what a data source's test split offers."""

    names: Sequence[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


def make_enhance(module: nn.Module, params: Params) -> Enhance:
    """One-image form of an enhancer, compiled once per image size.

    Args:
        module: the enhancer.
        params: its parameters.

    Returns:
        uint8 `[H, W, 3]` -> float32 `[H, W, 3]`, unclipped.
    """
    params = jax.device_put(params)
    return lambda image: np.asarray(apply_network(module, params, image))


@jax.jit
def _scores(enhanced: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    enhanced, target = enhanced[None], target[None]
    # PSNR of what would be written to a file, MS-SSIM of the network's own output: the protocol
    # of the reference evaluation.
    return psnr(jnp.clip(enhanced, 0, 1), target)[0], ms_ssim(enhanced, target)[0]


def score_image(name: str, enhanced: np.ndarray, target: np.ndarray) -> Score:
    """Scores of one image.

    Args:
        name: of the image.
        enhanced: float32 `[H, W, 3]`, unclipped.
        target: uint8 `[H, W, 3]`.

    Returns:
        `{"name", "psnr", "ms_ssim"}`; psnr is None where it is infinite (JSON has no infinity).

    Raises:
        InputError: an output that is not finite.

    Reference:
        Table 3.
    """
    # Divided by NumPy: the compiler multiplies by 1/255, and an identical image is off by a bit.
    decibels, similarity = map(float, _scores(enhanced, unchanged(target)))
    if math.isnan(decibels) or math.isnan(similarity):
        raise InputError(f"{name}: the model's output is not finite; its training has diverged")
    finite = math.isfinite(decibels)
    return {"name": name, "psnr": decibels if finite else None, "ms_ssim": similarity}


def summarize(scores: Sequence[Score]) -> dict[str, Any]:
    """Means over images.

    Args:
        scores: of images, at least one, all with the same fields: a "name" and numbers, where
            None is an infinite PSNR.

    Returns:
        `{"images", ..., "infinite_psnr", "per_image"}` and the mean of every number under its
        name: of `score_image`, "psnr" and "ms_ssim". Images of infinite PSNR are counted in
        "infinite_psnr" and left out of the mean, which is None if none is left.
    """
    means: dict[str, float | None] = {}
    for field in [field for field in scores[0] if field != "name"]:
        finite = [score[field] for score in scores if score[field] is not None]
        means[field] = float(np.mean(finite)) if finite else None
    return {
        "images": len(scores),
        **means,
        "infinite_psnr": sum(None in score.values() for score in scores),
        "per_image": list(scores),
    }


def evaluate(
    enhance: Enhance,
    pairs: Pairs,
    *,
    score: ScoreImage = score_image,
    track: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Any]:
    """Score an enhancer on every pair.

    Args:
        enhance: uint8 `[H, W, 3]` -> float32 `[H, W, 3]`.
        pairs: held-out pairs.
        score: `(name, output, target)` -> the scores of one image.
        track: wraps the loop over images, to show progress.

    Returns:
        See `summarize`.
    """
    scores = []
    for index in track(range(len(pairs))):
        image, target = pairs[index]
        scores.append(score(pairs.names[index], enhance(image), target))
    return summarize(scores)


def unchanged(image: np.ndarray) -> np.ndarray:
    """The baseline of every table: the input as it is."""
    return np.asarray(image, np.float32) / 255


def run(config, workdir: pathlib.Path, pairs: Pairs) -> dict[str, Any]:
    """Evaluate `config.weights`: results.json, a table and a picture in `workdir`.

    Args:
        config: see configs/evaluate.py; several weights, separated by commas, are compared.
        workdir: where results.json and strip.png go.
        pairs: the test split.

    Returns:
        What results.json holds: the scores of the (first) model, "input" with those of the
        unchanged input, and "models" with every model's.

    Raises:
        InputError: a model that is not there.
    """
    if not config.weights.strip():
        raise InputError("config.weights is empty: name a training workdir with --config.weights=")
    models = [load_model(path) for path in config.weights.split(",")]
    for model in models:
        model.check_use(ENHANCERS, "enhance")
    console = rich.console.Console()

    def scored(title: str, enhance: Enhance) -> dict[str, Any]:
        def track(items):
            return rich.progress.track(items, description=title, console=console)

        return evaluate(enhance, pairs, track=track)

    rows: list[dict[str, Any]] = [
        {"model": model.name, "weights": model.source, "parameters": model.parameters}
        | scored(model.name, make_enhance(model.module, model.params))
        for model in models
    ]
    baseline = scored("input", unchanged)
    results = {**rows[0], "input": baseline, "models": rows}
    write_json(workdir / "results.json", results)
    save_png(workdir / "strip.png", picture(models, rows[0]["per_image"], pairs))
    print_table(console, COLUMNS, [{"model": "input", "parameters": 0, **baseline}, *rows])
    if any(row["infinite_psnr"] for row in [baseline, *rows]):
        console.print("Images of infinite PSNR are left out of its mean.")
    print_written(workdir / "results.json", workdir / "strip.png")
    return results


def _mean_psnr(row: Row) -> str:
    if row["psnr"] is None:
        return "infinite"
    finite = row["images"] - row["infinite_psnr"]
    return f"{row['psnr']:.3f}" + (f" ({finite} finite)" if row["infinite_psnr"] else "")


COLUMNS = (
    Column("model", lambda row: row["model"]),
    number("parameters", "parameters", ","),
    number("images", "images", ""),
    Column("PSNR, dB", _mean_psnr, folds=False),
    number("MS-SSIM", "ms_ssim", ".4f"),
)


def picture(models: Sequence[Model], scores: Sequence[Score], pairs: Pairs) -> np.ndarray:
    """Strip of the best, the median and the worst picture by the first model's PSNR.

    Args:
        models: shown between input and target.
        scores: of the first model, in the order of `pairs`.
        pairs: held-out pairs.

    Returns:
        uint8 `[height, width, 3]`.
    """
    decibels = [math.inf if score["psnr"] is None else score["psnr"] for score in scores]
    order = sorted(range(len(scores)), key=lambda i: -decibels[i])
    chosen = {order[len(order) // 2]: "median", order[-1]: "worst", order[0]: "best"}
    rows, captions = [], []
    for index in sorted(chosen, key=order.index):
        image, target = pairs[index]
        enhanced = [make_enhance(model.module, model.params)(image) for model in models]
        rows.append([image, *enhanced, target])
        captions.append(f"{chosen[index]}: {pairs.names[index]}, {_decibels(scores[index])}")
    return strip(rows, ["input", *(model.name for model in models), "target"], captions)


def _decibels(score: Score) -> str:
    return "identical" if score["psnr"] is None else f"{score['psnr']:.2f} dB"
