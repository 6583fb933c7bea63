"""Small train states for tests of checkpoints."""

import jax
import numpy as np
import optax

from ppcn_jax.steps.optimizers import adam
from ppcn_jax.steps.state import apply_gradients, from_trees, init_state, to_trees

PLAYERS = ("generator", "discriminator")


def make_state(step, *, players=PLAYERS, averaged=(), layer="dense", shape=(3, 4), make=adam):
    """A state of tiny players after one update, in which all numbers differ."""
    rng = np.random.default_rng(step)
    optimizer = make(optax.constant_schedule(1e-3))

    def draw():
        kernel = rng.standard_normal(shape, dtype=np.float32)
        return {layer: {"kernel": kernel, "bias": rng.standard_normal(4, dtype=np.float32)}}

    optimizers = dict.fromkeys(players, optimizer)
    state = init_state({name: draw() for name in players}, optimizers, averaged=averaged)
    updated = {
        name: apply_gradients(player, draw(), optimizer, np.float32(0.5))
        for name, player in state.players.items()
    }
    return jax.device_get(state.replace(step=np.int32(step), players=updated))


def save(checkpoints, state, *, score=None):
    """Save a state as its named trees."""
    checkpoints.save(int(state.step), to_trees(state), score=score)


def restore(checkpoints, template):
    """The state that the newest readable checkpoint holds."""
    return from_trees(*checkpoints.restore(to_trees(template)))


def assert_same_bits(actual, expected):
    """The structures, types and numbers are equal."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
