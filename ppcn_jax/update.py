"""One update of all players, or of none where it would ruin them."""

from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax

from ppcn_jax.state import Params, TrainState, apply_gradients

T = TypeVar("T")

# What is added to a step's metrics: whether its update was left out (1 or 0), and for each player
# the norms of its gradients and of its updated parameters.
SKIPPED = "skipped"
GRADIENTS, PARAMETERS = "_gradient_norm", "_parameter_norm"


def guarded_update(
    state: TrainState,
    gradients: Mapping[str, Params],
    optimizers: Mapping[str, optax.GradientTransformation],
    metrics: Mapping[str, jax.Array],
    *,
    total_limit: float,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Update all players unless anything is NaN or infinite, or the total is beyond a limit.

    Called after the all-reduce: all devices decide alike without exchanging anything more.

    Args:
        state: before the step.
        gradients: by player, of the global batch.
        optimizers: by player.
        metrics: of the global batch, with "total"; all of them are finite in a good step.
        total_limit: a larger total counts as exploded.

    Returns:
        The state one step on. The step is counted in any case, because it is the position in the
        data; in a bad step players and optimizers stay what they were. And the metrics with
        `SKIPPED` and, by player, `GRADIENTS` and `PARAMETERS`.
    """
    players = {
        name: apply_gradients(player, gradients[name], optimizers[name])
        for name, player in state.players.items()
    }
    norms = {}
    for name, player in players.items():
        norms[name + GRADIENTS] = optax.tree.norm(gradients[name])
        norms[name + PARAMETERS] = optax.tree.norm(player.params)
    finite = jnp.isfinite(jnp.stack([*metrics.values(), *norms.values()])).all()
    good = finite & (metrics["total"] <= total_limit)
    players = jax.tree.map(lambda new, old: jnp.where(good, new, old), players, state.players)
    skipped = (~good).astype(jnp.float32)
    return TrainState(state.step + 1, players), {**metrics, **norms, SKIPPED: skipped}


def without_guard(metrics: Mapping[str, T]) -> dict[str, T]:
    """The metrics less what `guarded_update` has added."""
    return {
        name: value
        for name, value in metrics.items()
        if name != SKIPPED and not name.endswith((GRADIENTS, PARAMETERS))
    }
