"""What accompanies the steps of a run: checkpoints, logs and monitoring."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from ppcn_jax.training.interruption import Interruption
from ppcn_jax.training.logs import Progress, Recorder
from ppcn_jax.training.profile import Profile
from ppcn_jax.training.skipped_updates import format_values
from ppcn_jax.training.time_spent import TimeSpent
from ppcn_jax.training.watchdog import Watchdog
from ppcn_jax.weights.checkpoints import Checkpoints


@dataclasses.dataclass(frozen=True)
class RunServices:
    """The checkpoints, logs and monitoring of a run; `recorder` is None except in process 0.

    `check_lock` is called before a checkpoint is saved.
    """

    checkpoints: Checkpoints
    recorder: Recorder | None
    progress: Progress
    time_spent: TimeSpent
    watchdog: Watchdog
    interruption: Interruption
    profile: Profile
    check_lock: Callable[[], None]

    def record(self, step: int, split: str, values: Mapping[str, float], **more: object) -> None:
        """Record a row of metrics.jsonl, in process 0 only."""
        if self.recorder:
            self.recorder.scalars(step, split, values, **more)

    def report_skipped(self, step: int, values: dict[str, float], samples: Sequence[str]) -> None:
        """Report a skipped update; see `Guard`."""
        names = ", ".join(samples)
        cause = format_values(values)
        self.progress.say(f"step {step}: update skipped because of {cause}; samples: {names}")
        self.record(step, "skipped", values, samples=list(samples))
