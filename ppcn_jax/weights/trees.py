"""Parameters in nested dicts, and the same by names such as "conv0/kernel"."""

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of nested dicts by their paths, whose parts are joined by slashes."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}/{path}": leaf for path, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dicts whose leaves have these paths.

    Raises:
        ValueError: a path is both a leaf and a part of another path.
    """
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ValueError(f"{path} is inside of a parameter")
        if name in node:
            raise ValueError(f"{path} is both a parameter and a group of them")
        node[name] = leaf
    return tree
