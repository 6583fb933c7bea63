"""Test set-up: virtual devices, strictness, and the files that live beside the repository."""

import atexit
import gc
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

# All of this must be in the environment before JAX starts.
# Virtual devices rendezvous in one thread pool as large as the number of cores; with few cores,
# thousands of collective steps find no free thread for a participant and dead-lock.
os.environ["NPROC"] = "32"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest

from ppcn_jax.runtime.storage import to_path
from tests import emulator
from tests.processes import COMPILATION, ENVIRONMENT, Launched, launch_command

# Read when the first computation starts the backend.
os.environ["XLA_FLAGS"] = " ".join(
    [COMPILATION, os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=4"]
)

# Each worker compiles a program once.
COMPILED = tempfile.mkdtemp(prefix="ppcn-jax-tests-")
atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", COMPILED)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

# Broadcasting [H, W, C] against [C] by accident is how a loss goes wrong without raising.
jax.config.update("jax_numpy_rank_promotion", "raise")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Drop compiled programs: those of all tests have more memory mappings than Linux allows."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def quiet_processes():
    """Processes that tests start do not warn of encodings, of which JAX's own files have none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONWARNDEFAULTENCODING", raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with checkpoints, goldens and sample data that are not part of the repository."""
    folder = Path(os.environ.get("PPCN_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(
            f"no folder {folder.name!r} beside the repository and PPCN_SHARED does not name one: "
            "it holds goldens computed with the authors' code and the released checkpoints (both "
            "from their repository Zheng222/PPCN on GitHub) and sample pairs of DPED (from the "
            "DPED project's site)"
        )
    return folder


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    """Start launch.py; the processes share compiled programs, and leftover ones are killed."""
    compiled = str(tmp_path_factory.mktemp("compiled"))
    started = []

    def start(config, workdir, *arguments, settings, xla_flags=""):
        command = launch_command(config, workdir, *arguments, settings=settings)
        folder = tmp_path_factory.mktemp("output")
        changed = {
            "JAX_COMPILATION_CACHE_DIR": compiled,
            "XLA_FLAGS": f"{COMPILATION} {xla_flags}".strip(),
        }
        started.append(Launched(command, {**os.environ, **ENVIRONMENT, **changed}, folder))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def emulated_bucket():
    """The root of a bucket in an emulator; see tests/emulator.py."""
    with emulator.running() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield to_path(f"gs://{emulator.BUCKET}")


@pytest.fixture
def bucket(emulated_bucket, request):
    """An empty folder in the bucket, named after the test."""
    return emulated_bucket / re.sub(r"\W", "_", request.node.name)


@pytest.fixture(scope="session")
def golden_file(shared):
    """Path of a file among the goldens, by name."""

    def find(name: str) -> Path:
        path = shared / "goldens" / name
        if not path.is_file():
            pytest.skip(
                f"goldens/{name} is absent from the shared folder: such files hold numbers "
                "computed with the authors' released code (Zheng222/PPCN on GitHub)"
            )
        return path

    return find


@pytest.fixture(scope="session")
def goldens(golden_file):
    """Open a golden file by its name without extension: goldens("cx")["smallA/T"]."""
    opened = {}

    def load(name: str) -> np.lib.npyio.NpzFile:
        if name not in opened:
            opened[name] = np.load(golden_file(f"{name}.npz"), allow_pickle=False)
        return opened[name]

    yield load
    for file in opened.values():
        file.close()


@pytest.fixture(scope="session")
def recipes(golden_file):
    """The module that makes the seeded weights behind the goldens."""
    spec = importlib.util.spec_from_file_location("golden_recipes", golden_file("recipes.py"))
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        # The shared folder is not ours to leave bytecode in.
        patch.setattr(sys, "dont_write_bytecode", True)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def random_params():
    """Parameters of a module far from its initialization, so that every one of them matters."""

    def make(module, *arguments, seed: int = 0):
        rng = np.random.default_rng(seed)
        shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)["params"]

        def draw(path, leaf):
            values = rng.standard_normal(leaf.shape, dtype=np.float32)
            if path[-1].key == "kernel":
                return values / np.sqrt(np.prod(leaf.shape[:-1]), dtype=np.float32)
            return (path[-1].key == "scale") + np.float32(0.2) * values

        return jax.tree_util.tree_map_with_path(draw, shapes)

    return make


@pytest.fixture(scope="session")
def golden_discriminator(recipes):
    """Parameters of `Discriminator(outputs=2, first_norm=False)` behind the goldens."""
    weights = iter(recipes.disc_weights())
    params = {}
    for index, (*_, norm) in enumerate(recipes.DISC_LAYOUT):
        params[f"conv{index}"] = {"kernel": next(weights), "bias": next(weights)}
        if norm:
            params[f"norm{index}"] = {"shift": next(weights), "scale": next(weights)}
    for name in ("dense", "logits"):
        params[name] = {"kernel": next(weights), "bias": next(weights)}
    return params


@pytest.fixture(scope="session")
def golden_vgg(recipes):
    """Parameters of `Vgg(depth=19)` behind the goldens."""
    params = {
        name: {"kernel": kernel, "bias": bias}
        for name, (kernel, bias) in recipes.vgg_weights().items()
    }
    params["mean"] = np.array([123.68, 116.779, 103.939], np.float32)
    params["std"] = np.ones(3, np.float32)
    return params
