"""The only place that knows orbax: what a training run keeps on disk and gets back.

A checkpoint is a folder `<workdir>/checkpoints/<step>` with one item per player's parameters
("generator") and one per optimizer ("generator_optimizer"), so that a network can be read
without its opponent or any optimizer; and a record by which damage is found.
"""

import math
import pathlib
import shutil
import textwrap
import time
from collections.abc import Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.state import Player, TrainState
from ppcn_jax.weights.checkpoint_record import ITEM, check_item, make_record, read_score

FOLDER = "checkpoints"
DAMAGED = ".damaged"  # put behind the name of a checkpoint that cannot be read


class Checkpoints:
    """Checkpoints of one workdir; a context manager that waits for pending saves on exit.

    Args:
        workdir: of the run.
        keep: how many of the latest are kept; the one with the best score is kept besides.
    """

    def __init__(self, workdir: pathlib.Path, *, keep: int):
        self._root = _root(workdir)
        self._scores = {step: read_score(self._root / str(step)) for step in steps_in(workdir)}
        policies = checkpoint_managers.preservation_policy
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(keep), _Best(self._scores)]
            ),
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(self._root, options=options)

    def save(self, state: TrainState, *, score: float | None) -> None:
        """Start writing a state; returns before it is on disk.

        Args:
            state: on the host.
            score: higher is better; None when it was not evaluated.

        Raises:
            Exception: what kept the save before this one from being written.
        """
        step = int(state.step)
        if step not in self._manager.all_steps():
            items = _items(state)
            record = ocp.args.JsonSave(make_record(items, score))
            # Never the best, unless nothing was evaluated yet.
            self._scores[step] = -math.inf if score is None else score
            saved = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
            self._manager.save(step, args=ocp.args.Composite(**saved, **{ITEM: record}))

    def check(self) -> None:
        """Surface the failure of a save that went on in the background; returns at once.

        Raises:
            Exception: what kept the last save from being written.
        """
        if not self._manager.is_saving_in_progress():
            self._manager.wait_until_finished()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, None when there is none."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """Step of the checkpoint with the best score, None when there is none."""
        steps = self._manager.all_steps()
        return _best(steps, self._scores)

    def restore(self, template: TrainState) -> TrainState:
        """Read the newest checkpoint that is whole; all processes get the same.

        Those that are newer and cannot be read are told of and renamed: `<step>.damaged`.

        Args:
            template: a state of the same structure, shapes and types.

        Returns:
            The saved state, as NumPy arrays.

        Raises:
            InputError: none can be read; nothing is renamed then. One line for each says why.
        """
        self._manager.wait_until_finished()
        problems: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            state, problem = None, ""
            try:
                state = self._read(step, template)
            except Exception as error:  # noqa: BLE001 - damaged files raise all kinds
                problem = _told(error)
            if _everywhere(state is not None):
                self._set_aside(problems, instead=step)
                assert state is not None
                return state
            problems[step] = problem or "another process cannot read it"
        raise InputError(
            "\n".join(
                [
                    f"no checkpoint in {self._root} can be read:",
                    *(f"- {step}: {problem}" for step, problem in problems.items()),
                    "Put back a good one, or remove that folder to start from step 0.",
                ]
            )
        )

    def _read(self, step: int, template: TrainState) -> TrainState:
        read = {
            name: _read_item(self._root / str(step), name, tree)
            for name, tree in _items(template).items()
        }
        players = {name: Player(read[name], read[_optimizer(name)]) for name in template.players}
        return TrainState(step=jnp.asarray(step, jnp.int32), players=players)

    def _set_aside(self, problems: dict[int, str], *, instead: int) -> None:
        if not problems:
            return
        first = jax.process_index() == 0
        for step, problem in problems.items():
            if first:
                logging.warning(
                    f"the checkpoint {self._root / str(step)} is damaged and now called "
                    f"{step}{DAMAGED}; training goes on from step {instead}. {problem}"
                )
                _rename_free(self._root / str(step))
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager.reload()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, *exception) -> None:
        try:
            self._manager.close()
        except Exception:
            if kind is None:  # otherwise the error under way says why the run ends
                raise
        finally:
            if jax.process_index() == 0:
                self._remove_partial()

    def _remove_partial(self) -> None:
        # What a failed save leaves, and maybe what fills the disk. Its threads write on for a
        # moment, and make their folders anew.
        for _ in range(10):
            partial = list(self._root.glob("*.orbax-checkpoint-tmp"))
            if not partial:
                break
            for folder in partial:
                shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.2)


class _Best(checkpoint_managers.PreservationPolicy):
    """Keeps the checkpoint with the best score."""

    def __init__(self, scores: dict[int, float]):
        self._scores = scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        best = _best(steps, self._scores)
        return [step == best for step in steps]


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

    Raises:
        InputError: it is damaged, or of another structure; names the others that are there.
    """
    folder = _root(workdir) / str(step)
    try:
        return _read_item(folder, player, template)
    except Exception as error:  # damaged files raise all kinds
        others = [other for other in steps_in(workdir) if other != step]
        raise InputError(
            f"the {player} of the checkpoint {folder} cannot be read ({_told(error)}); other "
            f"checkpoints there are of the steps {others}"
        ) from error


def _items(state: TrainState) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for name, player in state.players.items():
        items |= {name: player.params, _optimizer(name): player.opt_state}
    return items


def _optimizer(player: str) -> str:
    return f"{player}_optimizer"


def _read_item(folder: pathlib.Path, name: str, template: Any) -> Any:
    """One item, compared with the template and with what was saved."""
    # Alone: a process that cannot read must not leave the others waiting for it.
    index = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"reader{index}"
    )
    with ocp.StandardCheckpointer(multiprocessing_options=alone) as checkpointer:
        tree = jax.device_get(checkpointer.restore(folder / name, template))
    # Orbax compares names only, and returns whatever shapes are on disk.
    for (path, a), b in zip(
        jax.tree.leaves_with_path(template), jax.tree.leaves(tree), strict=True
    ):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            where = jax.tree_util.keystr(path)
            raise ValueError(
                f"{where} is {b.dtype}{b.shape} in the checkpoint, not {a.dtype}{a.shape}"
            )
    check_item(folder, name, tree)
    return tree


def _best(steps: Sequence[int], scores: dict[int, float]) -> int | None:
    # The newest of equals, as without any score.
    return max(steps, key=lambda step: (scores[step], step), default=None)


def _told(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {textwrap.shorten(line, 200)}"


def _everywhere(succeeded: bool) -> bool:
    if jax.process_count() == 1:
        return succeeded
    return bool(multihost_utils.process_allgather(np.asarray(succeeded)).all())


def _rename_free(folder: pathlib.Path) -> None:
    aside = folder.with_name(folder.name + DAMAGED)
    number = 1
    while aside.exists():
        number += 1
        aside = folder.with_name(f"{folder.name}{DAMAGED}.{number}")
    folder.rename(aside)


def _root(workdir: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(workdir).resolve() / FOLDER
