"""What a checkpoint notes of itself: its score, and what the numbers in it hash to.

Files that were cut short mostly do not load. Files with other bytes in them often do.
"""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

ITEM = "record"  # folder in a checkpoint


def make_record(items: Mapping[str, Any], score: float | None) -> dict[str, Any]:
    """The record of a checkpoint.

    Args:
        items: name -> tree of arrays.
        score: higher is better; None when it was not evaluated.

    Returns:
        What JSON can represent.
    """
    return {"score": score, "sha256": {name: _digest(tree) for name, tree in items.items()}}


def check_item(folder: pathlib.Path, name: str, tree: Any) -> None:
    """Compare an item that was read with what was saved; all is well where there is no record.

    Args:
        folder: of the checkpoint.
        name: of the item.
        tree: what was read.

    Raises:
        ValueError: the numbers differ, or the record is damaged.
    """
    # Checkpoints from before there were records have none.
    if (folder / ITEM).is_dir() and _read(folder)["sha256"][name] != _digest(tree):
        raise ValueError(f"the numbers of {name} are not those that were saved")


def read_score(folder: pathlib.Path) -> float:
    """The score of a checkpoint.

    Args:
        folder: of the checkpoint.

    Returns:
        Higher is better; minus infinity when it was not evaluated or cannot be read.
    """
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


def _digest(tree: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
