"""Nested dicts and their paths."""

import numpy as np
import pytest

from ppcn_jax.weights.trees import flatten, unflatten


def test_paths():
    flat = {"a/kernel": np.zeros(1), "b": np.ones(1), "c/d/e": np.ones(2)}
    tree = unflatten(flat)
    assert tree == {
        "a": {"kernel": flat["a/kernel"]},
        "b": flat["b"],
        "c": {"d": {"e": flat["c/d/e"]}},
    }
    assert flatten(tree) == flat
    assert flatten({"empty": {}}) == {}


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d")])
def test_a_path_is_a_parameter_or_a_group(paths):
    with pytest.raises(ValueError, match="parameter"):
        unflatten(dict.fromkeys(paths, np.zeros(1)))
