"""The start of launch.py's processes: the coordinator's port, and devices that are not as expected."""

import os
import socket
import subprocess

import pytest

from ppcn_jax.runtime import start
from ppcn_jax.runtime.processes import START_AGAIN
from tests.processes import ENVIRONMENT, REPOSITORY, launch_command


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


def start_training(workdir, *arguments, **variables):
    """Run launch.py; return how it ended."""
    command = launch_command(
        "student.py:no_distillation",
        workdir,
        *arguments,
        settings={"data.source": "synthetic", "objective.contextual.weight": 0.0},
    )
    return subprocess.run(
        command,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, **ENVIRONMENT, **variables},
        capture_output=True,
        timeout=300,
        encoding="utf-8",
    )


def test_the_second_coordinator_ends_before_it_joins_and_writes(tmp_path):
    with socket.create_server(("", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        flags = [f"--coordinator={address}", "--process_count=2", "--process_index=0"]
        result = start_training(tmp_path / "run", *flags)
    assert result.returncode == START_AGAIN
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"--coordinator {address}: another process")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("platforms", ["cuda", "tpu"])
def test_a_device_that_is_absent_is_one_line_before_anything_is_written(tmp_path, platforms):
    variables = {"JAX_PLATFORMS": platforms, "CUDA_VISIBLE_DEVICES": ""}
    result = start_training(tmp_path / "run", "--config.train.steps=1", **variables)
    if result.returncode == 0:
        pytest.skip(f"this machine has a {platforms} device")
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith(f"JAX_PLATFORMS={platforms}: JAX cannot use such a device")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


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
