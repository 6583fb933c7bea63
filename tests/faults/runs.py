"""Tiny runs for the tests of faults, and comparisons of their checkpoints.

Starting a run takes five to ten seconds and a step a few milliseconds: share runs between assertions.
"""

import jax
import numpy as np
import orbax.checkpoint as ocp

from ppcn_jax.weights.checkpoints import FOLDER

# Synthetic pictures of 16 px, no VGG, no discriminator, no TensorFlow; a row per step.
SETTINGS = {
    "data.source": "synthetic",
    "data.in_memory": True,
    "data.crop": 16,
    "objective.contextual.weight": 0.0,
    "objective.texture.weight": 0.0,
    "train.batch_size": 4,
    "train.steps": 24,
    "checkpoint.every": 4,
    "checkpoint.keep": 2,
    "evaluate.every": 1000,
    "log.every": 1,
}
# The losses in a super-resolver's configuration differ.
SUPER_RESOLVER = {
    field: value for field, value in SETTINGS.items() if not field.startswith("objective")
} | {"data.source": "high_resolution"}


def train(
    launch, workdir, *arguments, config="student.py:no_distillation", xla_flags="", **changed
):
    """Start a tiny enhancer's run; `changed` are fields such as {"train.steps": 8}."""
    settings = {**SETTINGS, **changed}
    return launch(config, workdir, *arguments, settings=settings, xla_flags=xla_flags)


def read_state(workdir, step):
    """The trees of a checkpoint by name, with NumPy arrays."""
    folder = workdir / FOLDER / str(step)
    items = [path.name for path in folder.iterdir() if (path / "_METADATA").exists()]
    with ocp.StandardCheckpointer() as checkpointer:
        return {name: checkpointer.restore(folder / name) for name in sorted(items)}


def assert_same_state(actual, expected):
    """All trees of two checkpoints are bit-equal."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    leaves = zip(jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True)
    for (path, a), b in leaves:
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path), strict=True)
