"""The choice between JAX and OpenVINO, if possible without importing JAX."""

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.inference import runtimes
from ppcn_jax.inference.runtimes import choose_runtime
from ppcn_jax.runtime import runtime_option

# None of them is needed where OpenVINO computes.
ABSENT = {"jax", "jaxlib", "flax", "optax", "orbax", "scipy", "etils"}


def test_auto(monkeypatch):
    assert jax.device_count() > 1 and choose_runtime("auto") == "jax"  # they share photos
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert choose_runtime("auto") == "openvino"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose_runtime("auto") == "jax"
    assert choose_runtime("openvino") == "openvino"
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(runtime_option.importlib.util, "find_spec", lambda name: None)
    assert choose_runtime("auto") == "jax"


def test_errors_of_a_runtime():
    assert runtimes.errors_of("jax") == (jax.errors.JaxRuntimeError,)
    assert runtimes.errors_of("openvino") == ()


@pytest.fixture
def plain(monkeypatch):
    """JAX as it is installed for processors, not imported yet."""
    monkeypatch.delitem(sys.modules, "jax")
    for name in runtimes._DEVICES:
        monkeypatch.delenv(name, raising=False)
    installed(monkeypatch, set())
    yield
    runtimes._has_plugins.cache_clear()


def installed(monkeypatch, modules, entry_points=()):
    spec = importlib.machinery.ModuleSpec("x", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name in modules else None)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entry_points)
    runtimes._has_plugins.cache_clear()


def certain():
    return runtimes._has_certainly_one_processor()


def test_one_processor_is_certain_without_plugins_and_settings(plain, monkeypatch):
    assert certain()


@pytest.mark.parametrize("name", runtimes._DEVICES)
def test_a_setting_of_jax_makes_it_uncertain(plain, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert not certain()


@pytest.mark.parametrize("name", ["jax_plugins", "libtpu"])
def test_a_plugin_makes_it_uncertain(plain, monkeypatch, name):
    installed(monkeypatch, {name})
    assert not certain()


def test_an_entry_point_of_a_plugin_makes_it_uncertain(plain, monkeypatch):
    point = importlib.metadata.EntryPoint("mine", "mine.plugin", "jax_plugins")
    installed(monkeypatch, set(), [point])
    assert not certain()


def test_jax_that_runs_already_is_asked(plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert not certain()


@pytest.fixture
def run_plainly():
    """Run a program where nothing sets up JAX; returns its output."""
    kept = {k: v for k, v in os.environ.items() if k not in (*runtimes._DEVICES, "NPROC")}

    def run(program):
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, check=True, capture_output=True, encoding="utf-8", env=kept
        ).stdout

    if run("from ppcn_jax.inference import runtimes as r; r._has_certainly_one_processor() or 1/0"):
        pytest.skip("JAX has a plugin here")
    return run


def test_jax_has_one_device_where_that_is_certain(run_plainly):
    assert run_plainly("import jax; print(jax.devices())") == "[CpuDevice(id=0)]\n"


# Small photos as a whole, large ones in bands.
@pytest.mark.parametrize(
    ("use", "size"),
    [
        *(("enhance", (40, 50)), ("enhance", (1100, 2000))),
        *(("upscale", (40, 50)), ("upscale", (275, 500))),
    ],
)
def test_openvino_needs_no_jax(run_plainly, tmp_path, use, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    program = (
        "import sys, numpy as np, ppcn_jax\n"
        "from ppcn_jax import command\n"
        f"command.main(['{use}', {str(tmp_path / 'photo.png')!r}, '--output', {str(tmp_path)!r},"
        " '--suffix', '_new'])\n"
        f"ppcn_jax.{use}(np.full({(*size, 3)}, 0.5, np.float32))\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    *lines, modules = run_plainly(program).splitlines()
    assert "by OpenVINO" in lines[-1]
    assert not ABSENT & set(modules.split())
