"""The pure train step of any network: gradients, one all-reduce, and the guarded update."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import optax

from ppcn_jax.metrics import psnr_of_mse
from ppcn_jax.models.definitions import Params
from ppcn_jax.steps.augment import Batch
from ppcn_jax.steps.state import Metrics, TrainState, guarded_update, mean_over_devices

# gradients(state, batch, frozen, *, axis_name=None) -> (gradients by player, metrics), both of the
# images of one device. Under a mapped axis, statistics over the batch are those of all devices.
Gradients = Callable[..., tuple[dict[str, Params], Metrics]]


@dataclasses.dataclass(frozen=True, eq=False)  # compared by identity, as functions are
class GuardedStep:
    """A train step, `step(state, batch, frozen, *, axis_name=None) -> (state, metrics)`.

    `axis_name` is the mapped axis, None under plain jit. Metrics are float32 scalars of the global
    batch: those of `gradients`, with "psnr" in place of "mse", and those of `guarded_update`.

    Attributes:
        gradients: gradients and metrics of one device's images; "total" and "mse" are among the
            metrics.
        optimizers: by player.
        total_limit: updates with a larger total are skipped; see `guarded_update`.
        ema: decay of the average of the parameters, for players that have one.
    """

    __name__ = "train_step"  # JAX names its programs after it

    gradients: Gradients
    optimizers: Mapping[str, optax.GradientTransformation]
    total_limit: float = math.inf
    ema: float = 0.0

    def __call__(
        self, state: TrainState, batch: Batch, frozen: Params, *, axis_name: str | None = None
    ) -> tuple[TrainState, Metrics]:
        """Update all players once."""
        own = self.gradients(state, batch, frozen, axis_name=axis_name)
        gradients, metrics = mean_over_devices(own, axis_name)
        state, metrics = guarded_update(
            state,
            gradients,
            self.optimizers,
            metrics,
            total_limit=self.total_limit,
            ema=self.ema,
        )
        # After averaging: the PSNR of a mean error is not the mean of PSNRs.
        metrics["psnr"] = psnr_of_mse(metrics.pop("mse"))
        return state, metrics
