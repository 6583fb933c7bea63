"""Evaluation of enhancers on test pairs: PSNR, MS-SSIM, faults; a table and a strip of pictures."""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import rich.console
from ml_collections import ConfigDict

from ppcn_jax.evaluation import image_scores
from ppcn_jax.evaluation.faults import FAULTS, faults
from ppcn_jax.evaluation.progress import progress_bar
from ppcn_jax.evaluation.selection import Pairs, Selection
from ppcn_jax.evaluation.sharing import Track, gather, on_devices, share, useful_devices
from ppcn_jax.evaluation.tables import (
    Column,
    Row,
    load_models,
    number,
    print_table,
    print_written,
)
from ppcn_jax.inference.any_size import apply_to_any_size, shares_size
from ppcn_jax.inference.enhance import apply_model
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.metrics import ms_ssim, psnr
from ppcn_jax.models.definitions import Params
from ppcn_jax.photos.levels import to_float
from ppcn_jax.photos.strips import reduce_panel, save_png, strip
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.weights.model import ENHANCERS, Model

Enhance = Callable[[np.ndarray], np.ndarray]  # uint8 [H, W, C] -> float32, unclipped
Score = dict[str, Any]
ScoreImage = Callable[[str, np.ndarray, np.ndarray], Score]  # of (name, output, target)
# Sees (index, input, output, target) of each image that this process scores.
Look = Callable[[int, np.ndarray, np.ndarray, np.ndarray], None]


def make_enhance(module: nn.Module, params: Params) -> Enhance:
    """Bind an enhancer to its parameters. Programs are shared; see `apply_to_any_size`."""
    params = jax.device_put(params)
    return lambda image: apply_to_any_size(module, params, image)


def make_runner(model: Model, runtime: str) -> Enhance:
    """Bind a model to a runtime, "jax" or "openvino", in which images of any size share programs."""
    if runtime == "jax":
        return make_enhance(model.module, model.params)
    return lambda image: apply_model(image, model, runtime)


def unchanged(image: np.ndarray) -> np.ndarray:
    """The baseline of every table: returns the input itself, as float32 in [0, 1]."""
    return to_float(image)


def score_image(name: str, enhanced: np.ndarray, target: np.ndarray) -> Score:
    """Score one image by the protocol of Table 3: `{"name", "psnr", "ms_ssim"}`.

    `enhanced` is float32 `[H, W, 3]`, unclipped; `target` is uint8. See `make_score`.
    """
    # PSNR of what would be written to a file, but MS-SSIM of the network's unclipped output: the
    # protocol of the reference evaluation.
    if max(target.shape) <= image_scores.TILE and shares_size(*target.shape[:2]):
        # to_float divides in NumPy. XLA would multiply by 1/255, and the PSNR of identical images
        # would be finite.
        values = _scores_of_patch(enhanced, to_float(target))
    else:
        clipped = np.clip(enhanced, 0, 1)
        values = image_scores.psnr(clipped, target), image_scores.ms_ssim(enhanced, target)
    return make_score(name, ("psnr", "ms_ssim"), values)


@jax.jit
def _scores_of_patch(enhanced: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The scores by one program for this size, which is faster than tiles."""
    enhanced, target = enhanced[None], target[None]
    return psnr(jnp.clip(enhanced, 0, 1), target)[0], ms_ssim(enhanced, target)[0]


def score_faults(name: str, output: np.ndarray, photo: np.ndarray) -> Score:
    """The faults of one image as a score; see `faults`.

    Args:
        name: of the image.
        output: the network's, float `[H, W, 3]`.
        photo: how it should look, uint8, of the same shape.

    Raises:
        InputError: the output is not finite.
    """
    if not np.isfinite(output).all():
        raise diverged(name)
    values = faults(to_float(photo), output)
    # `make_score` takes infinity for what was not measured.
    known = [math.inf if values[fault] is None else values[fault] for fault in FAULTS]
    return make_score(name, FAULTS, known)


def make_score(name: str, fields: Sequence[str], values: Sequence[Any]) -> Score:
    """Build the score of one image; an infinite PSNR becomes None because JSON has no infinity.

    Raises InputError if a value is NaN.
    """
    score: Score = {"name": name}
    for field, value in zip(fields, map(float, values), strict=True):
        if math.isnan(value):
            raise diverged(name)
        score[field] = value if math.isfinite(value) else None
    return score


def diverged(name: str) -> InputError:
    """The error to raise when a model's output for the image `name` is not finite."""
    return InputError(f"{name}: the model's output is not finite; its training has diverged")


def summarize(scores: Sequence[Score]) -> dict[str, Any]:
    """Average the scores of at least one image.

    Returns `{"images", ..., "infinite_psnr", "per_image"}` with the mean of every field of the
    scores, for example "psnr" and "ms_ssim". An infinite PSNR (None) is counted in
    "infinite_psnr" and excluded from the mean, which is None if no finite value remains.
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
    track: Track = iter,
    look: Look | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> dict[str, Any]:
    """Score an enhancer on every pair; returns the means of `summarize`.

    The processes of a run share the pairs and return the same result.

    Args:
        enhance: the enhancer; called in threads, one for each device.
        pairs: the test split.
        score: `(name, output, target)` -> the score of one image.
        track: shows the progress of this process.
        look: is called with each image that this process scores, in threads.
        devices: of this process, which share its pairs; None takes `useful_devices`.
    """

    def score_pair(index: int) -> Score:
        image, target = pairs[index]
        output = enhance(image)
        if look:
            look(index, image, output, target)
        return score(pairs.names[index], output, target)

    mine = share(len(pairs), jax.process_index(), jax.process_count())
    scores = on_devices(score_pair, mine, devices or useful_devices(), track)
    return summarize(_gather(scores, pairs.names) if jax.process_count() > 1 else scores)


def _gather(scores: Sequence[Score], names: Sequence[str]) -> list[Score]:
    """The scores of all processes, in the order of `names`."""
    fields = [field for field in scores[0] if field != "name"]
    # None stands for an infinite PSNR.
    rows = [[math.inf if s[f] is None else s[f] for f in fields] for s in scores]
    values = gather(np.array(rows, np.float64), len(names))
    return [make_score(name, fields, row) for name, row in zip(names, values, strict=True)]


def run(config: ConfigDict, workdir: pathlib.Path, pairs: Pairs) -> dict[str, Any]:
    """Evaluate `config.weights`, a comma-separated list, on a test split.

    Writes results.json and strip.png into `workdir`. Returns the content of results.json: the
    scores of the first model, "input" with those of the unchanged input, and "models" with those
    of every model, each with the "runtime" that computed it. "faults" has the means of `faults`
    against the targets.
    """
    models = _by_label(load_models(config.weights, field="weights", names=ENHANCERS, use="enhance"))
    pairs = Selection(pairs, largest=config.evaluate.largest)
    console = rich.console.Console()
    rows: list[dict[str, Any]] = []
    runtime = choose_runtime(config.runtime)
    runners = {label: make_runner(model, runtime) for label, model in models.items()}
    for label, model in models.items():
        scores = _judge(runners[label], pairs, progress_bar(label, console))
        about = {"label": label, "model": model.name, "weights": model.source, "runtime": runtime}
        rows.append({**about, "parameters": model.parameters, **scores})
    baseline = _judge(unchanged, pairs, progress_bar("input", console))
    results = {**rows[0], "input": baseline, "models": rows}
    write_json(workdir / "results.json", results)
    save_png(workdir / "strip.png", picture(runners, rows[0]["per_image"], pairs))
    rows = [{"label": "input", "parameters": 0, **baseline}, *rows]
    print_table(console, COLUMNS, rows)
    if any(row["infinite_psnr"] for row in rows):
        console.print("Mean PSNR excludes images with infinite PSNR (identical to their target).")
    print_written(workdir / "results.json", workdir / "strip.png")
    return results


def _judge(enhance: Enhance, pairs: Pairs, track: Track) -> dict[str, Any]:
    """Scores and faults of an enhancer."""
    found = evaluate(enhance, pairs, score=score_faults)
    return {
        **evaluate(enhance, pairs, track=track),
        "faults": {fault: found[fault] for fault in FAULTS},
    }


def _by_label(models: Mapping[str, Model]) -> dict[str, Model]:
    """Models by the name of the network, and of the file where several have the same one."""
    networks = [model.name for model in models.values()]
    return {
        model.name if networks.count(model.name) == 1 else f"{model.name} ({name})": model
        for name, model in models.items()
    }


def _mean_psnr(row: Row) -> str:
    if row["psnr"] is None:
        return "infinite"
    finite = row["images"] - row["infinite_psnr"]
    return f"{row['psnr']:.3f}" + (f" ({finite} finite)" if row["infinite_psnr"] else "")


def _fault(title: str, field: str, spec: str) -> Column:
    column = number(title, field, spec)
    return column._replace(cell=lambda row: column.cell(row["faults"]))


COLUMNS = (
    Column("model", lambda row: row["label"]),
    number("parameters", "parameters", ","),
    number("images", "images", ""),
    Column("PSNR, dB", _mean_psnr, folds=False),
    number("MS-SSIM", "ms_ssim", ".4f"),
    _fault("hue, °", "hue", ".1f"),
    _fault("border", "border", ".2f"),
)


def picture(models: Mapping[str, Enhance], scores: Sequence[Score], pairs: Pairs) -> np.ndarray:
    """Strip of the pairs with the best, the median and the worst PSNR of the first model.

    Models are given by label; `scores` are those of the first, in the order of `pairs`. Returns
    uint8 `[H, W, 3]`.
    """
    decibels = [math.inf if score["psnr"] is None else score["psnr"] for score in scores]
    order = sorted(range(len(scores)), key=lambda i: -decibels[i])
    chosen = {order[len(order) // 2]: "median", order[-1]: "worst", order[0]: "best"}
    rows, captions = [], []
    for index in sorted(chosen, key=order.index):
        image, target = pairs[index]
        enhanced = [enhance(image) for enhance in models.values()]
        rows.append([reduce_panel(x, 3, len(models) + 2) for x in (image, *enhanced, target)])
        value = scores[index]["psnr"]
        label = "identical" if value is None else f"{value:.2f} dB"
        captions.append(f"{chosen[index]}: {pairs.names[index]}, {label}")
    return strip(rows, ["input", *models, "target"], captions)
