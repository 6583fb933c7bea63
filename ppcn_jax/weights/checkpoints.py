"""Checkpoints of a training run, written and read with Orbax.

A checkpoint is a folder `<workdir>/checkpoints/<step>` with one item for each named tree of arrays,
such as "generator" and "generator_optimizer", so that a network can be read without the rest, and
a record by which damage is detected.
"""

import math
import pathlib
import shutil
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.storage import bucket_errors, is_remote, to_path
from ppcn_jax.weights.checkpoint_record import FOLDER, ITEM, check_tree, make_record, read_score

DAMAGED = ".damaged"  # appended to the folder name of a checkpoint that cannot be read


class Checkpoints:
    """Checkpoints of one workdir; leaving its context waits for pending saves.

    The `keep` latest checkpoints are kept, and the one with the best score.
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

    def save(self, step: int, trees: Mapping[str, Any], *, score: float | None) -> None:
        """Start writing named trees of NumPy arrays; returns before they are on disk.

        A higher score is better; None means that it is unknown. A step that is already saved is
        not saved again.

        Raises:
            Exception: the previous save failed.
        """
        if step in self._manager.all_steps():
            return
        # A checkpoint without a score is the best only if no other has one.
        self._scores[step] = -math.inf if score is None else score
        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        record = ocp.args.JsonSave(make_record(trees, score))
        with bucket_errors(self._root):
            self._manager.save(step, args=ocp.args.Composite(**items, **{ITEM: record}))

    def check(self) -> None:
        """Raise the error of the last save if it failed in the background; returns at once."""
        if not self._manager.is_saving_in_progress():
            with bucket_errors(self._root):
                self._manager.wait_until_finished()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def restore(self, templates: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Read the newest checkpoint that all processes can read: its step and its named trees.

        Newer checkpoints that cannot be read are reported and renamed to `<step>.damaged`.
        `templates` are trees of the same names, structures, shapes and types.

        Raises:
            InputError: no checkpoint can be read, and none was renamed; lists the reasons.
        """
        self._manager.wait_until_finished()
        problems: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            trees, problem = None, "another process cannot read it"
            try:
                folder = self._root / str(step)
                trees = {name: _read(folder, name, like) for name, like in templates.items()}
            except Exception as error:  # noqa: BLE001 - damaged files raise all kinds
                problem = _first_line(error)
            if _on_all_processes(trees is not None):
                assert trees is not None
                self._set_aside(problems, instead=step)
                return step, trees
            problems[step] = problem
        lines = [f"- {step}: {problem}" for step, problem in problems.items()]
        raise InputError(
            "\n".join(
                [
                    f"no checkpoint in {self._root} can be read:",
                    *lines,
                    "Restore one from a backup, or remove that folder to start from step 0.",
                ]
            )
        )

    def _set_aside(self, problems: Mapping[int, str], *, instead: int) -> None:
        if not problems:
            return
        if jax.process_index() == 0:
            for step, problem in problems.items():
                folder = self._root / str(step)
                logging.warning(
                    f"the checkpoint {folder} is damaged ({problem}). It is renamed to "
                    f"{step}{DAMAGED}, and training continues from step {instead}"
                )
                _rename_damaged(folder)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints are renamed")
        self._manager.reload()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            with bucket_errors(self._root):
                self._manager.close()
        except Exception:
            if kind is None:  # otherwise the first error is the one to report
                raise
        finally:
            if jax.process_index() == 0 and not is_remote(self._root):
                self._remove_partial()

    def _remove_partial(self) -> None:
        # A failed save leaves a partial checkpoint, which may be what fills the disk. Its threads
        # continue for a moment and may create the folder once more. In a bucket, where Orbax marks
        # complete checkpoints instead of renaming partial ones, the next run removes it.
        for _ in range(10):
            partial = list(self._root.glob("*.orbax-checkpoint-tmp"))
            if not partial:
                break
            for folder in partial:
                shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.2)


class _Best(checkpoint_managers.PreservationPolicy):
    """Keeps the checkpoint with the best score, the newest among equals."""

    def __init__(self, scores: dict[int, float]):
        self._scores = scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        best = max(steps, key=lambda step: (self._scores[step], step), default=None)
        return [step == best for step in steps]


def steps_in(workdir: pathlib.Path) -> list[int]:
    """Sorted steps of the complete checkpoints in a workdir."""
    root = _root(workdir)
    return sorted(ocp.utils.checkpoint_steps(root)) if root.is_dir() else []


def has_tree(workdir: pathlib.Path, step: int, name: str) -> bool:
    """Return whether a checkpoint holds a tree of this name."""
    return (_root(workdir) / str(step) / name).is_dir()


def restore_params(workdir: pathlib.Path, step: int, name: str, template: Any = None) -> Any:
    """Read one tree of a checkpoint, e.g. "generator", as NumPy arrays.

    `template` holds arrays, or shapes and types, in the same structure; without it the tree is
    read as it was saved.

    Raises:
        InputError: it is damaged, or does not fit the template; lists the other checkpoints.
    """
    folder = _root(workdir) / str(step)
    try:
        return _read(folder, name, template)
    except Exception as error:  # damaged files raise all kinds
        others = [other for other in steps_in(workdir) if other != step]
        raise InputError(
            f"the {name} of the checkpoint {folder} cannot be read ({_first_line(error)}). "
            f"Other checkpoints in this workdir: {others}"
        ) from error


def _read(folder: pathlib.Path, name: str, template: Any) -> Any:
    # Each process reads for itself: one that fails must not leave the others waiting.
    index = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"reader{index}"
    )
    with ocp.StandardCheckpointer(multiprocessing_options=alone) as checkpointer:
        tree = jax.device_get(checkpointer.restore(folder / name, template))
    # Orbax compares the names only and returns arrays of any shape.
    expected = tree if template is None else template
    for (path, a), b in zip(
        jax.tree.leaves_with_path(expected), jax.tree.leaves(tree), strict=True
    ):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            where = jax.tree_util.keystr(path)
            raise ValueError(
                f"{where} is {b.dtype}{b.shape} in the checkpoint, not {a.dtype}{a.shape}"
            )
    check_tree(folder, name, tree)
    return tree


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {textwrap.shorten(line, 200)}"


def _on_all_processes(succeeded: bool) -> bool:
    if jax.process_count() == 1:
        return succeeded
    return bool(multihost_utils.process_allgather(np.asarray(succeeded)).all())


def _rename_damaged(folder: pathlib.Path) -> None:
    renamed, number = folder.with_name(folder.name + DAMAGED), 1
    while renamed.exists():
        number += 1
        renamed = folder.with_name(f"{folder.name}{DAMAGED}.{number}")
    # In a bucket, each of its objects is copied and removed. If that is interrupted, the rest is
    # still a damaged checkpoint.
    folder.rename(renamed)


def _root(workdir: pathlib.Path) -> pathlib.Path:
    path = to_path(workdir)
    return (path if is_remote(path) else path.resolve()) / FOLDER
