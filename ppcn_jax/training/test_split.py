"""Scores and a picture of the test split, at an evaluation of a training run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ppcn_jax.evaluation.evaluate import evaluate, make_enhance
from ppcn_jax.evaluation.progress import with_lines
from ppcn_jax.evaluation.selection import Pairs, evenly_spaced
from ppcn_jax.models.definitions import Params
from ppcn_jax.photos.strips import strip
from ppcn_jax.training.experiment import SHOWN, Experiment


def score_test_split(
    experiment: Experiment,
    params: Params,
    pairs: Pairs,
    step: int,
    *,
    say: Callable[[str], None],
    doing: Callable[[str], None],
    pictured: bool,
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Score a network on its test split, which the processes of the run share.

    Args:
        experiment: the training run.
        params: the network's parameters, on the host.
        pairs: the test split.
        step: of the parameters.
        say: prints a line, now and then during a long evaluation.
        doing: notes progress and what begins now; see `Watchdog.doing`.
        pictured: also make the picture, in this process.

    Returns:
        The result of `evaluate`; and a strip of up to `SHOWN` evenly spaced images, uint8
        `[H, W, 3]` of at most 2 megapixels, or None.
    """
    enhance = make_enhance(experiment.module, params)
    samples = evenly_spaced(len(pairs), SHOWN) if pictured else []
    panels: dict[int, list[list[np.ndarray]]] = {}

    def look(index: int, image: np.ndarray, output: np.ndarray, target: np.ndarray) -> None:
        if index in samples:
            panels[index] = experiment.panels(image, output, target)

    def track(indices: Sequence[int]) -> Iterator[int]:
        for index in with_lines(indices, lambda text: say(f"step {step}: evaluated {text}")):
            doing(f"evaluating step {step}, image {index + 1} of {len(indices)}")
            yield index
        doing(f"evaluating and saving step {step}")

    result = evaluate(enhance, pairs, score=experiment.score, track=track, look=look)
    if not pictured:
        return result, None
    rows, captions = [], []
    for index in samples:
        if index not in panels:  # another process has scored it
            image, target = pairs[index]
            look(index, image, enhance(image), target)
        rows += panels[index]
        captions += [pairs.names[index], *[""] * (len(panels[index]) - 1)]
    return result, strip(rows, experiment.columns, captions)
