"""The train state: a step counter and the players it trains, nothing frozen."""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import optax

from ppcn_jax.models.layers import Params


@flax.struct.dataclass
class Player:
    """One trained network.

    Attributes:
        params: its parameters.
        opt_state: its optimizer's state.
    """

    params: Params
    opt_state: optax.OptState


@flax.struct.dataclass
class TrainState:
    """All that a checkpoint holds.

    Attributes:
        step: int32 scalar, updates made so far.
        players: name -> player, e.g. "generator" and "discriminator".
    """

    step: jax.Array
    players: dict[str, Player]


# step(state, batch, frozen, *, axis_name=None) -> (state, metrics), pure; see `steps`.
TrainStep = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def init_state(
    params: dict[str, Params], optimizers: dict[str, optax.GradientTransformation]
) -> TrainState:
    """Start of a training run.

    Args:
        params: initial parameters by player.
        optimizers: optimizer by player, the same names.

    Returns:
        The state before the first update.
    """

    def init(params):
        return {name: optimizers[name].init(p) for name, p in params.items()}

    opt_states = jax.jit(init)(params)  # one program; op by op there is one for every shape
    players = {name: Player(params[name], opt_states[name]) for name in params}
    return TrainState(step=jnp.zeros((), jnp.int32), players=players)


def apply_gradients(
    player: Player, gradients: Params, optimizer: optax.GradientTransformation
) -> Player:
    """One optimizer update of one player.

    Args:
        player: before the update.
        gradients: like its parameters.
        optimizer: the one that made its `opt_state`.

    Returns:
        The player after it.
    """
    updates, opt_state = optimizer.update(gradients, player.opt_state, player.params)
    return Player(optax.apply_updates(player.params, updates), opt_state)
