"""Fixtures shared by the tests of faults."""

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
    """Ignores errors of Orbax's reader threads in these tests.

    When one read fails, the others end later in their own threads, find the event loop closed, and
    raise during whichever test runs then.
    """
    ignored = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if item.path.is_relative_to(pathlib.Path(__file__).parent):
            item.add_marker(ignored)


@pytest.fixture(autouse=True, scope="package")
def collect_garbage():
    """Collects what failed reads left behind while the filter above still applies."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def write_model(random_params):
    """Writes a weights file with random parameters."""

    def write(path, network, *, preset="paper"):
        module = make_network(network)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)))
        write_native(path, Model(network, preset, {}, params, "random"))
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
