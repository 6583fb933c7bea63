"""Checkpoints are restored to the bit, and are either complete or ignored."""

import shutil

import jax
import numpy as np
import pytest

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.optimizers import adam, muon
from ppcn_jax.weights.checkpoints import FOLDER, Checkpoints, restore_params, steps_in
from tests.states import PLAYERS, assert_same_bits, make_state, restore, save


def save_steps(workdir, scores, *, keep=1):
    """Save a checkpoint of each step with its score."""
    with Checkpoints(workdir, keep=keep) as checkpoints:
        for step, score in scores.items():
            save(checkpoints, make_state(step), score=score)


@pytest.mark.parametrize("make", [adam, muon])
def test_a_state_is_restored_to_the_bit(tmp_path, make):
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        for step in (5, 12):
            save(checkpoints, make_state(step, make=make), score=float(step))
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        restored = restore(checkpoints, make_state(0, make=make))
    assert_same_bits(restored, make_state(12, make=make))
    assert restored.step.dtype == np.int32


@pytest.mark.parametrize(("keep", "steps"), [(1, [2, 5]), (2, [2, 4, 5]), (9, [1, 2, 3, 4, 5])])
def test_the_latest_and_the_best_are_kept(tmp_path, keep, steps):
    # Step 4 has no score, which must not make it the best.
    save_steps(tmp_path, {1: 20.0, 2: 22.5, 3: 22.0, 4: None, 5: 21.0}, keep=keep)
    assert steps_in(tmp_path) == steps
    with Checkpoints(tmp_path, keep=keep) as checkpoints:
        assert checkpoints.latest_step() == 5


def test_a_resumed_run_keeps_the_best_of_before(tmp_path):
    save_steps(tmp_path, {1: 22.5, 2: 20.0})
    save_steps(tmp_path, {3: 21.0, 4: 21.5})
    assert steps_in(tmp_path) == [1, 4]
    save_steps(tmp_path, {5: 23.0, 6: 22.9})
    assert steps_in(tmp_path) == [5, 6]


def test_without_scores_the_latest_is_kept(tmp_path):
    save_steps(tmp_path, {1: None, 2: None, 3: None})
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert_same_bits(restore(checkpoints, make_state(0)), make_state(3))


def test_a_step_is_not_saved_twice(tmp_path):
    save_steps(tmp_path, {3: 20.0})
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        other = make_state(4).replace(step=np.int32(3))
        save(checkpoints, other, score=30.0)
        assert_same_bits(restore(checkpoints, other), make_state(3))


def test_a_workdir_without_checkpoints(tmp_path):
    assert steps_in(tmp_path) == []
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert checkpoints.latest_step() is None
    assert steps_in(tmp_path) == []


@pytest.mark.parametrize("player", PLAYERS)
def test_one_network_is_read_without_the_rest(tmp_path, player):
    save_steps(tmp_path, {3: 1.0})
    for item in (tmp_path / FOLDER / "3").iterdir():
        if item.is_dir() and item.name != player:
            shutil.rmtree(item)
    expected = make_state(3).players[player].params
    template = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), expected)
    assert_same_bits(restore_params(tmp_path, 3, player, template), expected)


def test_an_interrupted_save_is_ignored(tmp_path):
    save_steps(tmp_path, {3: 1.0})
    # A checkpoint is written under such a name and renamed when it is complete.
    partial = tmp_path / FOLDER / "7.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / FOLDER / "3", partial)
    shutil.rmtree(partial / "generator" / "d")
    assert steps_in(tmp_path) == [3]
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert checkpoints.latest_step() == 3
        assert_same_bits(restore(checkpoints, make_state(0)), make_state(3))
        save(checkpoints, make_state(7), score=2.0)
    assert steps_in(tmp_path) == [7]
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert_same_bits(restore(checkpoints, make_state(0)), make_state(7))


OTHER = {
    "layer": {"layer": "conv"},
    "shape": {"shape": (5, 4)},
    "player": {"players": (*PLAYERS, "critic")},
    "average": {"averaged": ["generator"]},
}


@pytest.mark.parametrize("difference", OTHER.values(), ids=OTHER)
def test_a_checkpoint_of_another_structure_is_refused(tmp_path, difference):
    save_steps(tmp_path, {3: 1.0})
    with Checkpoints(tmp_path, keep=1) as checkpoints, pytest.raises(InputError):
        restore(checkpoints, make_state(0, **difference))


@pytest.mark.parametrize("difference", ["layer", "shape"])
def test_a_network_of_another_structure_is_refused(tmp_path, difference):
    save_steps(tmp_path, {3: 1.0})
    template = make_state(0, **OTHER[difference]).players["generator"].params
    with pytest.raises(InputError):
        restore_params(tmp_path, 3, "generator", template)
