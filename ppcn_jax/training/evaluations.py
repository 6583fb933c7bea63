"""What a training run evaluates, and where the results go: rows, pictures and lines."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ppcn_jax.evaluation.evaluate import evaluate, make_enhance, score_faults
from ppcn_jax.evaluation.faults import FAULTS
from ppcn_jax.evaluation.held_out_photos import HeldOutPhotos
from ppcn_jax.evaluation.progress import with_lines
from ppcn_jax.evaluation.selection import Pairs
from ppcn_jax.models.definitions import Params
from ppcn_jax.photos.strips import reduce_panel, strip
from ppcn_jax.steps.state import TrainState
from ppcn_jax.training.experiment import SHOWN, Experiment
from ppcn_jax.training.logs import Recorder
from ppcn_jax.training.test_split import score_test_split


class Evaluations:
    """The evaluations of a run: of its test split and, for enhancers, of photos without targets.

    Args:
        experiment: the training run.
        pairs: the test split.
        photos: in which the network's faults are measured; None measures none.
    """

    def __init__(self, experiment: Experiment, pairs: Pairs, photos: HeldOutPhotos | None):
        self._experiment, self._pairs, self._photos = experiment, pairs, photos

    def __str__(self) -> str:
        """What is scored: "10 test images, 20 photos without targets"."""
        photos = f", {len(self._photos)} photos without targets" if self._photos else ""
        return f"{self._pairs}{photos}"

    def run(
        self,
        state: TrainState,
        *,
        recorder: Recorder | None,
        say: Callable[[str], None],
        doing: Callable[[str], None],
    ) -> float | None:
        """Evaluate a state; returns the score to choose checkpoints by.

        Args:
            state: on the host.
            recorder: of rows and pictures; None except in process 0.
            say: prints a line.
            doing: notes progress and what begins now; see `Watchdog.doing`.
        """
        step, params = int(state.step), state.players["generator"].result
        reports = {"say": say, "doing": doing}
        pictured = recorder is not None
        result, picture = score_test_split(
            self._experiment, params, self._pairs, step, pictured=pictured, **reports
        )
        splits = [("test", "test split", self._experiment.metrics, result, picture)]
        if self._photos:
            found = _measure_photos(
                self._experiment, params, self._photos, step, pictured=pictured, **reports
            )
            splits.append(("photos", "faults in photos", FAULTS, *found))
        for split, title, names, values, image in splits:
            if recorder and image is not None:
                # What could not be measured in any image has no value.
                known = {name: values[name] for name in names if values[name] is not None}
                recorder.scalars(step, split, known)
                recorder.picture(step, split, image)
                scores = "  ".join(f"{name} {value:.4f}" for name, value in known.items())
                say(f"step {step}: {title}  {scores}")
        return result[self._experiment.metrics[0]]


def held_out_photos(folder: str) -> HeldOutPhotos | None:
    """Read the photos of `evaluate.photos`, if it names a folder; see `HeldOutPhotos`."""
    return HeldOutPhotos(folder, field="config.evaluate.photos") if folder else None


def _measure_photos(
    experiment: Experiment,
    params: Params,
    photos: HeldOutPhotos,
    step: int,
    *,
    say: Callable[[str], None],
    doing: Callable[[str], None],
    pictured: bool,
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Measure faults as `score_test_split` scores the test split.

    The picture shows up to `SHOWN` photos whose hues turn most, before and after.
    """
    enhance = make_enhance(experiment.module, params)

    def track(indices: Sequence[int]) -> Iterator[int]:
        lines = with_lines(indices, lambda text: say(f"step {step}: measured faults in {text}"))
        for index in lines:
            doing(f"measuring faults at step {step}, photo {index + 1} of {len(indices)}")
            yield index
        doing(f"evaluating and saving step {step}")

    result = evaluate(enhance, photos, score=score_faults, track=track)
    if not pictured:
        return result, None
    hues = [score["hue"] or 0.0 for score in result["per_image"]]
    worst = sorted(range(len(photos)), key=lambda index: -hues[index])[:SHOWN]
    rows = []
    for index in worst:
        photo, _ = photos[index]
        rows.append([reduce_panel(x, SHOWN, 2) for x in (photo, enhance(photo))])
    captions = [f"{photos.names[index]}: hue {hues[index]:.1f} degrees" for index in worst]
    return result, strip(rows, ("before", "after"), captions)
