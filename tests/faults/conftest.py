"""What the tests of wrong configurations and hostile files share."""

import gc
import os
import pathlib

import jax.numpy as jnp
import pytest

from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native
from tests.faults import command_lines
from tests.processes import ENVIRONMENT


def pytest_collection_modifyitems(items):
    """Lets Orbax leave reads behind: when one fails, the others end later, in threads of theirs.

    They find their event loop closed, in whichever test comes then.
    """
    left_behind = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if item.path.is_relative_to(pathlib.Path(__file__).parent):
            item.add_marker(left_behind)


@pytest.fixture(autouse=True, scope="package")
def nothing_left_behind():
    """Finds what is left while the tests here are still under way."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def write_model(random_params):
    """Writes a weights file of random parameters."""

    def write(path, network, *, preset="paper"):
        module = make_network(network)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)))
        write_native(path, Model(network, preset, module, params, "random"))
        return path

    return write


@pytest.fixture(scope="session")
def run_commands(tmp_path_factory):
    """Runs command lines on four virtual devices; see command_lines.py."""
    compiled = str(tmp_path_factory.mktemp("compiled"))
    changed = {
        **ENVIRONMENT,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_COMPILATION_CACHE_DIR": compiled,
    }
    return lambda cases: command_lines.run_all(cases, {**os.environ, **changed})
