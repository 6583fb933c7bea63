"""One update of all players, or of none where it would ruin them."""

from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import lax

from ppcn_jax.models.layers import Params
from ppcn_jax.steps.state import TrainState, apply_gradients

T = TypeVar("T")

# What is added to a step's metrics: whether its update was left out (1 or 0), and for each player
# the norm of its gradients.
SKIPPED = "skipped"
GRADIENTS = "_gradient_norm"


def mean_over_devices(tree: T, axis_name: str | None) -> T:
    """The mean of values that each device has its own of, in one exchange.

    Args:
        tree: of arrays.
        axis_name: the mapped axis; None under plain jit.

    Returns:
        The same on all devices. One device keeps what it has: an exchange would copy all of it.
    """
    if axis_name is None or lax.axis_size(axis_name) == 1:
        return tree
    return lax.pmean(tree, axis_name)


def guarded_update(
    state: TrainState,
    gradients: Mapping[str, Params],
    optimizers: Mapping[str, optax.GradientTransformation],
    metrics: Mapping[str, jax.Array],
    *,
    total_limit: float,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Update all players unless anything is NaN or infinite, or the total is beyond a limit.

    Called after the exchange of gradients: all devices decide alike without another.

    Args:
        state: before the step.
        gradients: by player, of the global batch.
        optimizers: by player; of finite gradients they make finite updates, as all of
            `schedules` do.
        metrics: of the global batch, with "total"; all of them are finite in a good step.
        total_limit: a larger total counts as exploded.

    Returns:
        The state one step on. The step is counted in any case, because it is the position in the
        data; in a bad step players and optimizers stay what they were. And the metrics with
        `SKIPPED` and, by player, `GRADIENTS`.
    """
    norms = {name + GRADIENTS: optax.tree.norm(tree) for name, tree in gradients.items()}
    finite = jnp.isfinite(jnp.stack([*metrics.values(), *norms.values()])).all()
    good = finite & (metrics["total"] <= total_limit)

    def update(players):
        return {n: apply_gradients(p, gradients[n], optimizers[n]) for n, p in players.items()}

    def in_place(players):
        return lax.cond(good, update, lambda players: players, players)

    def by_choice(players):
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), update(players), players)

    # A branch spares processors memory; accelerators would wait for the host to take it.
    players = lax.platform_dependent(state.players, cpu=in_place, default=by_choice)
    skipped = (~good).astype(jnp.float32)
    return TrainState(state.step + 1, players), {**metrics, **norms, SKIPPED: skipped}


def without_guard(metrics: Mapping[str, T]) -> dict[str, T]:
    """The metrics less what `guarded_update` has added."""
    return {
        name: value
        for name, value in metrics.items()
        if name != SKIPPED and not name.endswith(GRADIENTS)
    }
