"""The record that each checkpoint carries: its score, and a hash of each tree in it.

Truncated files usually fail to load, but files with altered bytes often load without an error.
"""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

FOLDER = "checkpoints"  # in a workdir
ITEM = "record"  # folder in a checkpoint


def make_record(trees: Mapping[str, Any], score: float | None) -> dict[str, Any]:
    """The record of named trees and their score as JSON values."""
    return {"score": score, "sha256": {name: digest(tree) for name, tree in trees.items()}}


def check_tree(folder: pathlib.Path, name: str, tree: Any) -> None:
    """Compare a tree that was read from a checkpoint with the checkpoint's record.

    Raises:
        ValueError: the values differ, or the record is damaged.
    """
    # Early versions saved no record.
    if (folder / ITEM).is_dir() and _read(folder)["sha256"][name] != digest(tree):
        raise ValueError(f"{name} does not have the values that were saved")


def read_score(folder: pathlib.Path) -> float:
    """The score of a checkpoint; minus infinity if it has none or the record cannot be read."""
    try:
        score = _read(folder)["score"]
    except (OSError, ValueError):
        score = None
    return -math.inf if score is None else score


def _read(folder: pathlib.Path) -> dict[str, Any]:
    record = json.loads((folder / ITEM / "metadata").read_bytes())
    if not (isinstance(record, dict) and {"score", "sha256"} <= record.keys()):
        raise ValueError(f"{folder / ITEM} is damaged")
    return record


def digest(tree: Any) -> str:
    """SHA-256 of a tree's names, types, shapes and values, as hexadecimal digits."""
    import jax  # here, since what reads no checkpoint needs only the name of their folder

    sha256 = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        array = np.asarray(leaf)
        sha256.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()
