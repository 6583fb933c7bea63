"""The start of launch.py's processes: the coordinator's port, and devices that are not as expected."""

import os
import socket
import subprocess
import sys

import pytest

from ppcn_jax.runtime import start
from ppcn_jax.runtime.processes import START_AGAIN


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_in_use_is_one_line(monkeypatch, family):
    ends = []
    monkeypatch.setattr(start, "end_process", lambda *arguments: ends.append(arguments))
    with socket.create_server(("", 0), family=family) as server:
        address = f"localhost:{server.getsockname()[1]}"
        start._check_port(address)
    ((line,),) = ends
    assert line.startswith(f"--coordinator {address}: another process of this machine uses port")
    start._check_port(address)  # free again
    for other in ("localhost", "localhost:x", "localhost:99999", "[::1]:x"):
        start._check_port(other)  # left to JAX
    assert len(ends) == 1


def test_the_second_coordinator_ends_before_it_joins():
    program = """
import sys
from ppcn_jax.runtime.start import start_process
start_process(sys.argv[1], 2, 0, detect=True, silence=60.0)
"""
    with socket.create_server(("", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        command = [sys.executable, "-c", program, address]
        result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert result.returncode == START_AGAIN
    assert result.stderr.strip().startswith(f"--coordinator {address}: another process")


@pytest.mark.parametrize("platforms", ["cuda", "tpu"])
def test_a_device_that_is_absent_is_one_line(platforms):
    program = """
from ppcn_jax.runtime.start import start_process
start_process(None, None, None, detect=False, silence=60.0)
"""
    environment = {**os.environ, "JAX_PLATFORMS": platforms, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", program]
    output = {"capture_output": True, "text": True}
    result = subprocess.run(command, check=False, env=environment, timeout=120, **output)
    if result.returncode == 0:
        pytest.skip(f"this machine has a {platforms} device")
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith(f"JAX_PLATFORMS={platforms}: JAX cannot use such a device")
    assert "Traceback" not in result.stderr


def test_other_errors_of_a_backend_are_raised(monkeypatch):
    def fail():
        raise RuntimeError("x")

    monkeypatch.setattr(start.jax, "default_backend", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with pytest.raises(RuntimeError, match="x"):
        start._check_devices()


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("demanded", ["", "cpu"])
def test_a_gpu_that_jax_does_not_use_is_named(monkeypatch, tmp_path, present, demanded):
    warnings = []
    monkeypatch.setattr(start, "_DEVICES", tmp_path)
    monkeypatch.setattr(start.shutil, "which", lambda name: None)
    monkeypatch.setattr(start.logging, "warning", warnings.append)
    monkeypatch.setattr(start.jax, "default_backend", lambda: "cpu")
    monkeypatch.setenv("JAX_PLATFORMS", demanded)
    (tmp_path / "nvidiactl").touch()
    if present:
        (tmp_path / "nvidia0").touch()
    start._check_devices()
    assert ["jax[cuda13]" in line for line in warnings] == [True] * (present and not demanded)
