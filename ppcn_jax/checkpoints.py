"""The only place that knows orbax: what a training run keeps on disk and gets back.

A checkpoint is a folder `<workdir>/checkpoints/<step>` with one item per player's parameters
("generator") and one per optimizer ("generator_optimizer"), so that a network can be read
without its opponent or any optimizer.
"""

import math
import pathlib
from typing import Any, Self

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from ppcn_jax.state import Player, TrainState

FOLDER = "checkpoints"


class Checkpoints:
    """Checkpoints of one workdir; a context manager that waits for pending saves on exit.

    Args:
        workdir: of the run.
        keep: how many of the latest are kept; the one with the best score is kept besides.
    """

    def __init__(self, workdir: pathlib.Path, *, keep: int):
        policies = checkpoint_managers.preservation_policy
        best = policies.BestN(get_metric_fn=_score, n=1)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), best]),
            best_fn=_score,
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(_root(workdir), options=options)

    def save(self, state: TrainState, *, score: float | None) -> None:
        """Start writing a state; returns before it is on disk.

        Args:
            state: on the host.
            score: higher is better; None when it was not evaluated.
        """
        step = int(state.step)
        if step not in self._manager.all_steps():
            items: dict[str, Any] = {}
            for name, player in state.players.items():
                items[name] = ocp.args.StandardSave(player.params)
                items[f"{name}_optimizer"] = ocp.args.StandardSave(player.opt_state)
            # Never the best, unless nothing was evaluated yet.
            metrics = {"score": -math.inf if score is None else score}
            self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics)

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, None when there is none."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """Step of the checkpoint with the best score, None when there is none."""
        return self._manager.best_step()

    def restore(self, template: TrainState) -> TrainState:
        """Read the newest checkpoint.

        Args:
            template: a state of the same structure, shapes and types.

        Returns:
            The saved state, as NumPy arrays.

        Raises:
            ValueError: the checkpoint is of another structure.
        """
        step = self._manager.latest_step()
        items: dict[str, Any] = {}
        for name, player in template.players.items():
            items[name] = ocp.args.StandardRestore(player.params)
            items[f"{name}_optimizer"] = ocp.args.StandardRestore(player.opt_state)
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        except KeyError as error:
            raise ValueError(f"the checkpoint of step {step} lacks a player: {error}") from error
        players = {
            name: Player(restored[name], restored[f"{name}_optimizer"]) for name in template.players
        }
        _check_like(template.players, players)
        return TrainState(step=jnp.asarray(step, jnp.int32), players=players)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self._manager.wait_until_finished()
        self._manager.close()


def steps_in(workdir: pathlib.Path) -> list[int]:
    """Steps of the complete checkpoints in a workdir, in order; empty when there are none."""
    root = _root(workdir)
    return sorted(ocp.utils.checkpoint_steps(root)) if root.is_dir() else []


def restore_params(workdir: pathlib.Path, step: int, player: str, template: Any) -> Any:
    """Read one network out of a checkpoint.

    Args:
        workdir: of the run that trained it.
        step: which checkpoint.
        player: which network, e.g. "generator".
        template: parameters (or shapes and types) of the same structure.

    Returns:
        Its parameters, as NumPy arrays.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        params = checkpointer.restore(_root(workdir) / str(step) / player, template)
    _check_like(template, params)
    return jax.device_get(params)


def _check_like(template: Any, restored: Any) -> None:
    # Orbax compares names only, and returns whatever shapes are on disk.
    for (path, a), b in zip(
        jax.tree.leaves_with_path(template), jax.tree.leaves(restored), strict=True
    ):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            name = jax.tree_util.keystr(path)
            raise ValueError(
                f"{name} is {b.dtype}{b.shape} in the checkpoint, not {a.dtype}{a.shape}"
            )


def _score(metrics: dict[str, float]) -> float:
    return metrics["score"]


def _root(workdir: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(workdir).resolve() / FOLDER
