"""The train state, its named trees as a checkpoint stores them, and its guarded update."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from ppcn_jax.models.definitions import Params

T = TypeVar("T")

# Metrics that `guarded_update` adds: 1 if the update was skipped, else 0; and for each player the
# norm of its gradients.
SKIPPED = "skipped"
GRADIENTS = "_gradient_norm"

_OPTIMIZER, _AVERAGE = "_optimizer", "_average"


@flax.struct.dataclass
class Player:
    """A trained network with the state of its optimizer.

    Attributes:
        params: the parameters that are trained.
        opt_state: of the optimizer.
        average: moving average of the parameters, or None; see `average_weight`.
    """

    params: Params
    opt_state: optax.OptState
    average: Params | None = None

    @property
    def result(self) -> Params:
        """The parameters to evaluate and to use: the average, if there is one."""
        return self.params if self.average is None else self.average


@flax.struct.dataclass
class TrainState:
    """Everything that a checkpoint stores.

    Attributes:
        step: int32 scalar, number of steps made.
        players: "generator" and, in adversarial training, "discriminator".
    """

    step: jax.Array
    players: dict[str, Player]


Players = dict[str, Player]
Metrics = dict[str, jax.Array]
# step(state, batch, frozen, *, axis_name=None) -> (state, metrics); pure.
TrainStep = Callable[..., tuple[TrainState, Metrics]]


def init_state(
    params: Mapping[str, Params],
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    averaged: Collection[str] = (),
) -> TrainState:
    """The state before the first step, from parameters and optimizers by player.

    `averaged` names the players of whose parameters an average is kept.
    """

    def init(params: Mapping[str, Params]) -> dict[str, optax.OptState]:
        return {name: optimizers[name].init(tree) for name, tree in params.items()}

    opt_states = jax.jit(init)(params)  # eagerly, each shape would compile its own program
    # Copies, because an array that is in a donated state twice is an error.
    averages = {name: jax.tree.map(np.array, params[name]) for name in averaged}
    players = {name: Player(params[name], opt_states[name], averages.get(name)) for name in params}
    return TrainState(step=jnp.zeros((), jnp.int32), players=players)


def to_trees(state: TrainState) -> dict[str, Any]:
    """Named trees of a state without its step: "generator", "generator_optimizer", ...

    "generator_average" is one of them if there is an average.
    """
    trees: dict[str, Any] = {}
    for name, player in state.players.items():
        trees |= {name: player.params, name + _OPTIMIZER: player.opt_state}
        if player.average is not None:
            trees[name + _AVERAGE] = player.average
    return trees


def from_trees(step: int, trees: Mapping[str, Any]) -> TrainState:
    """The state at a step from the named trees that `to_trees` returns."""
    players = {
        name: Player(tree, trees[name + _OPTIMIZER], trees.get(name + _AVERAGE))
        for name, tree in trees.items()
        if not name.endswith((_OPTIMIZER, _AVERAGE))
    }
    return TrainState(step=jnp.asarray(step, jnp.int32), players=players)


def average_weight(decay: float, step: jax.Array) -> jax.Array:
    """Weight of the parameters after `step` steps in their moving average.

    average <- average + weight * (parameters - average)
    weight = 1 - min(decay, (1 + step) / (10 + step))

    The second number makes the average short at first, so that it soon forgets the parameters
    before the first step: it covers about the last ninth of the steps made, until that is
    1 / (1 - decay) steps.

    Reference:
        TensorFlow, tf.train.ExponentialMovingAverage, `num_updates`; Polyak and Juditsky,
        Acceleration of stochastic approximation by averaging, 1992. Not in the paper.
    """
    return jnp.maximum(1 - decay, 9 / (10 + step))


def apply_gradients(
    player: Player,
    gradients: Params,
    optimizer: optax.GradientTransformation,
    weight: jax.Array | None = None,
) -> Player:
    """Update one player with its optimizer, and its average, if it has one, with `weight`."""
    updates, opt_state = optimizer.update(gradients, player.opt_state, player.params)
    params, average = optax.apply_updates(player.params, updates), player.average
    if average is not None:
        average = jax.tree.map(lambda old, new: old + weight * (new - old), average, params)
    return Player(params, opt_state, average)


def mean_over_devices(tree: T, axis_name: str | None) -> T:
    """Average a tree over a mapped axis in one all-reduce; `axis_name` is None under plain jit."""
    # An all-reduce on a single device would copy the tree.
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
    ema: float = 0.0,
) -> tuple[TrainState, Metrics]:
    """Update all players, unless a metric or gradient is not finite or the total is too large.

    Call it after averaging gradients and metrics over devices, so that all devices make the same
    decision. Optimizers must turn finite gradients into finite updates, as those of `optimizers`
    do. The step is counted in either case, because it is the position in the data; a skipped
    update leaves parameters, their averages and optimizer states unchanged. `ema` is the decay of
    the averages, for players that have one.

    Returns:
        The new state, and the metrics with `SKIPPED` and `GRADIENTS` added.
    """
    norms = {name + GRADIENTS: optax.tree.norm(tree) for name, tree in gradients.items()}
    finite = jnp.isfinite(jnp.stack([*metrics.values(), *norms.values()])).all()
    good = finite & (metrics["total"] <= total_limit)

    weight = average_weight(ema, state.step + 1) if ema else None

    def update(players: Players) -> Players:
        return {
            name: apply_gradients(player, gradients[name], optimizers[name], weight)
            for name, player in players.items()
        }

    def with_branch(players: Players) -> Players:
        return lax.cond(good, update, lambda players: players, players)

    def with_select(players: Players) -> Players:
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), update(players), players)

    # On CPUs a branch saves memory. Accelerators would wait for the host to take the branch.
    players = lax.platform_dependent(state.players, cpu=with_branch, default=with_select)
    skipped = (~good).astype(jnp.float32)
    return TrainState(state.step + 1, players), {**metrics, **norms, SKIPPED: skipped}


def without_guard(metrics: Mapping[str, T]) -> dict[str, T]:
    """The metrics without those that `guarded_update` adds."""
    return {
        name: value
        for name, value in metrics.items()
        if name != SKIPPED and not name.endswith(GRADIENTS)
    }
