"""The host's eye on finished steps: which updates were left out, why, and when it is enough."""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.parallel import to_host
from ppcn_jax.steps.state import GRADIENTS, SKIPPED

# step, what was wrong by name, names of the samples
Report = Callable[[int, dict[str, float], Sequence[str]], None]


class Guard:
    """Counts updates that were left out, and stops a run of too many in a row.

    Args:
        start: steps made before.
        weights: of the terms in the total.
        stop_after: so many left out in a row end the run.
        samples: step -> names of the samples in its global batch.
        report: told of each update that was left out.

    Attributes:
        in_a_row: updates left out up to the last step looked at, since one that was made.
        skipped: updates left out in all.
    """

    def __init__(
        self,
        start: int,
        weights: Mapping[str, float],
        *,
        stop_after: int,
        samples: Callable[[int], Sequence[str]],
        report: Report,
    ):
        self._step, self._weights, self._stop_after = start, weights, stop_after
        self._samples, self._report = samples, report
        self.in_a_row = self.skipped = 0

    def look(self, metrics: Mapping[str, jax.Array]) -> None:
        """Look at what comes next of finished steps.

        Args:
            metrics: stacked by local device; of one step, or of several, `[devices, steps]`.

        Raises:
            InputError: too many updates in a row were left out; names what was wrong.
        """
        # The flag alone: the others are worth a fetch only when something happened.
        flags = np.ravel(metrics[SKIPPED].addressable_shards[0].data)
        every = {}
        if flags.any():
            every = {name: np.ravel(values) for name, values in to_host(metrics).items()}
        for index, skipped in enumerate(flags):
            self._step += 1
            if skipped:
                self._tell({name: float(values[index]) for name, values in every.items()})
            else:
                self.in_a_row = 0

    def _tell(self, metrics: dict[str, float]) -> None:
        self.in_a_row += 1
        self.skipped += 1
        wrong = culprits(metrics, self._weights)
        self._report(self._step, wrong, self._samples(self._step - 1))
        if self.in_a_row >= self._stop_after:
            raise InputError(
                f"the updates of steps {self._step - self.in_a_row + 1} to {self._step} had all to "
                f"be left out (train.guard.stop_after); the last because of {told(wrong)}. The "
                "last checkpoint is from before. What is named is too large or its data are bad: "
                "lower its weight or the learning rate (in another workdir), or look at the "
                'samples in the rows "skipped" of metrics.jsonl'
            )


def culprits(metrics: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """What is to blame for an update that was left out.

    Args:
        metrics: of the step, with what `guarded_update` adds.
        weights: of the terms in the total.

    Returns:
        Values by name, of those nearest to the cause, because everything after a NaN is NaN as
        well: terms that are not finite, else terms that are not when weighted, else norms of
        gradients, else the total, which is above its limit. Where no term is at fault by itself,
        the one with the largest part in the total is named too.
    """
    terms = {n: metrics[n] for n in (*weights, "discriminator_loss") if n in metrics}
    with np.errstate(over="ignore"):
        weighted = {
            f"{name} times its weight": float(np.float32(weight * metrics[name]))
            for name, weight in weights.items()
            if name in metrics
        }
    if found := _not_finite(terms) or _not_finite(weighted):
        return found
    found = _not_finite({n: v for n, v in metrics.items() if n.endswith(GRADIENTS)})
    largest = max(weighted, key=lambda name: abs(weighted[name]))
    return {**(found or {"total": metrics["total"]}), largest: weighted[largest]}


def _not_finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not math.isfinite(value)}


def told(wrong: Mapping[str, float]) -> str:
    """Names and values for people."""
    return ", ".join(f"{name} {value:.4g}" for name, value in wrong.items())
