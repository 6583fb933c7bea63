"""A checkpoint of an earlier version still loads with the values it was saved with."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import student
from ppcn_jax import enhance
from ppcn_jax.configuration.workdir import check_workdir
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.weights.checkpoints import Checkpoints
from ppcn_jax.weights.load import load_model
from tests.states import restore

KEPT = pathlib.Path(__file__).parent / "kept_checkpoint"


@pytest.fixture
def workdir(tmp_path):
    """A copy, because opening a workdir may remove files."""
    return shutil.copytree(KEPT, tmp_path / "kept")


def summary(tree):
    """Path -> type, shape, first number and sum of each array."""
    return {
        jax.tree_util.keystr(path): [
            str(array.dtype),
            list(array.shape),
            float(np.ravel(array)[0]),
            float(np.sum(array, dtype=np.float64)),
        ]
        for path, array in jax.tree.leaves_with_path(tree)
    }


@pytest.fixture
def config(workdir):
    """The saved configuration with the fields that were added later."""
    config = student.get_config()
    with config.ignore_type():
        config.update(ConfigDict(json.loads((workdir / "config.json").read_text(encoding="utf-8"))))
    return config


def test_its_run_may_continue(workdir, config):
    check_workdir(workdir, config)
    config.train.optimizer = "muon"
    with pytest.raises(InputError, match="train.optimizer was 'adam', is now 'muon'"):
        check_workdir(workdir, config)


def test_it_is_restored_with_the_saved_values(workdir, config):
    with Checkpoints(workdir, keep=2) as checkpoints:
        state = restore(checkpoints, make_experiment(config).state)
    assert state.step == 2
    expected = json.loads((KEPT / "values.json").read_text(encoding="utf-8"))
    found = {name: summary(player) for name, player in state.players.items()}
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        assert found[name].keys() == arrays.keys()
        for path, (dtype, shape, first, total) in arrays.items():
            assert found[name][path][:3] == [dtype, shape, first], path
            assert found[name][path][3] == pytest.approx(total, rel=1e-12, abs=1e-12), path


def test_its_network_enhances(workdir):
    model = load_model(workdir)
    assert (model.name, model.preset) == ("student", "paper")
    expected = json.loads((KEPT / "values.json").read_text(encoding="utf-8"))["generator"]
    params = summary(model.params)
    assert params == {path: params_of(expected, path) for path in params}
    assert enhance(np.full((16, 16, 3), 0.5, np.float32), model).shape == (16, 16, 3)


def params_of(expected, path):
    return expected[f".params{path}"]
