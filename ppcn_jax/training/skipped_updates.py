"""Track skipped updates: record their cause and abort after too many in a row."""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.parallel import to_host
from ppcn_jax.steps.state import GRADIENTS, SKIPPED

MOST_WAITING = 256  # finished calls whose metrics are kept for an inspection
# Arguments: step, offending values by name, names of the samples in the batch.
Report = Callable[[int, dict[str, float], Sequence[str]], None]


class Guard:
    """Counts skipped updates, reports their cause, and stops a run with too many in a row.

    Args:
        start: number of steps made before.
        weights: weights of the objective's terms by name.
        stop_after: number of updates skipped in a row that ends the run.
        samples: step -> names of the samples in its global batch.
        report: called for each skipped update.

    Attributes:
        in_a_row: updates skipped since the last one that was made.
        skipped: updates skipped since the start.
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
        self._finished: list[Mapping[str, jax.Array]] = []

    def note(self, metrics: Mapping[str, jax.Array]) -> None:
        """Keep the metrics of the next finished steps for `inspect`, without fetching them.

        Args:
            metrics: stacked by local device; of one step, or of several: `[devices, steps]`.

        Raises:
            InputError: see `inspect`, which is called if many wait for it.
        """
        self._finished.append(metrics)
        if len(self._finished) >= MOST_WAITING:
            self.inspect()

    def inspect(self) -> None:
        """Inspect the finished steps since the last call.

        Raises:
            InputError: too many updates in a row were skipped; names the cause.
        """
        finished, self._finished = self._finished, []
        # Fetch only the flags, together, and the other metrics where an update was skipped.
        skipped = [metrics[SKIPPED].addressable_shards[0].data for metrics in finished]
        for metrics, flags in zip(finished, jax.device_get(skipped), strict=True):
            self._inspect_call(metrics, np.ravel(flags))

    def _inspect_call(self, metrics: Mapping[str, jax.Array], flags: np.ndarray) -> None:
        values: dict[str, np.ndarray] = {}
        if flags.any():
            values = {name: np.ravel(each) for name, each in to_host(metrics).items()}
        for index, skipped in enumerate(flags):
            self._step += 1
            if not skipped:
                self.in_a_row = 0
                continue
            self.in_a_row += 1
            self.skipped += 1
            found = causes(
                {name: float(each[index]) for name, each in values.items()}, self._weights
            )
            self._report(self._step, found, self._samples(self._step - 1))
            if self.in_a_row >= self._stop_after:
                raise InputError(
                    f"all updates of steps {self._step - self.in_a_row + 1} to {self._step} were "
                    f"skipped, the last because of {format_values(found)}. The last checkpoint is "
                    "from before these steps. Lower the weight of that term or the learning rate "
                    "(in another workdir), inspect the samples in the rows 'skipped' of "
                    "metrics.jsonl, or raise train.guard.stop_after"
                )


def causes(metrics: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """Find the metrics that caused a skipped update, with their values.

    Everything computed from a NaN is NaN as well, so the first group with a value that is not
    finite is returned: terms, weighted terms, or norms of gradients. If no term is at fault, the
    term with the largest part in the total is added; if nothing is infinite or NaN, the total
    exceeds its limit.
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


def format_values(values: Mapping[str, float]) -> str:
    """Names and values as text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
