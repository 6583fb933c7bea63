"""The host's part of a training step with several processes, for a step that computes nothing.

    python -m ppcn_jax.benchmark.parts.host FORM CONFIG.json CALLS PROCESSES INDEX PORT    # seconds

is one of the processes.
"""

import functools
import json
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any

import flax.jax_utils
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.benchmark.rows import Rows, timed_rows
from ppcn_jax.benchmark.training_steps import synthetic_batch
from ppcn_jax.runtime.files import write_json
from ppcn_jax.runtime.processes import join_processes
from ppcn_jax.steps.parallel import AXIS, parallelize, replicate, to_devices
from ppcn_jax.steps.state import Metrics, TrainState
from ppcn_jax.training.enhancer import make_experiment

DIRECT, CONVERTED = "JAX", "JAX, jax.pmap's own call"
METRICS = 12  # numbers that a step returns, about as many as the student's


def measure_host(
    config: ConfigDict, folder: pathlib.Path, *, processes: int, calls: int, rounds: int
) -> Rows:
    """Time calls of a step with the arrays of a student, its discriminator, teacher and VGG.

    The arrays have one value each, and the step returns the state, so that what remains is the time
    of the host: processor time of the thread that dispatches. Each process has one device. `config` is a configuration of the student that names
    all files.

    Yields:
        A row for the program as training calls it, and one for jax.pmap's own call, which converts
        every array; both are the fastest of `rounds` measurements that took turns.
    """
    file = folder / "host.json"
    write_json(file, json.loads(config.to_json()))
    seconds = dict.fromkeys((DIRECT, CONVERTED), float("inf"))
    for _ in range(rounds):
        for form in seconds:
            seconds[form] = min(seconds[form], _run(form, file, calls, processes))
    yield from timed_rows(f"host's time of a call, {processes} processes", seconds)


def _run(form: str, file: pathlib.Path, calls: int, processes: int) -> float:
    """The time of process 0.

    Raises:
        RuntimeError: a process failed; with the last line of its errors.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", __name__, form, str(file), str(calls), str(processes)]
    children = [
        subprocess.Popen(
            [*command, str(index), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for index in range(processes)
    ]
    outputs = [child.communicate() for child in children]
    for child, (_, errors) in zip(children, outputs, strict=True):
        if child.returncode:
            last = errors.strip().rpartition("\n")[2]
            raise RuntimeError(f"a process ended with {child.returncode}: {last}")
    return float(outputs[0][0].split()[-1])


def seconds_of_call(form: str, config_file: str, calls: int) -> float:
    """Processor time of the thread that dispatches a call, in seconds; a mean over `calls`."""
    config = ConfigDict(json.loads(pathlib.Path(config_file).read_text(encoding="utf-8")))
    experiment = make_experiment(config)
    batch = synthetic_batch(jax.local_device_count(), config.data.crop)
    mapped: Any = parallelize(_step)
    images: Any = {name: part[:, np.newaxis] for name, part in batch.items()}
    if form == DIRECT:
        program, copy, images = mapped, replicate, to_devices(images)
    else:  # takes arrays of this process
        program = mapped.pmapped
        copy = functools.partial(flax.jax_utils.replicate, axis_name=AXIS)
    state, frozen = copy(_tiny(experiment.state)), copy(_tiny(experiment.frozen))
    for _ in range(3):
        state, metrics = program(state, images, frozen)
    jax.block_until_ready(metrics)
    start = time.thread_time()  # other load of the machine does not count
    for _ in range(calls):
        state, metrics = program(state, images, frozen)
    seconds = (time.thread_time() - start) / calls
    jax.block_until_ready(metrics)
    return seconds


def _tiny(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.zeros((1,) * np.ndim(x), np.asarray(x).dtype), tree)


def _step(
    state: TrainState, batch: Any, frozen: Any, *, axis_name: str
) -> tuple[TrainState, Metrics]:
    step = state.step + 1
    return TrainState(step, state.players), {f"{k}": step + jnp.float32(k) for k in range(METRICS)}


if __name__ == "__main__":
    form, config_file, calls, processes, index, port = sys.argv[1:]
    coordinator = f"localhost:{port}"
    join_processes(coordinator, int(processes), int(index), detect=False, silence=60.0)
    print(seconds_of_call(form, config_file, int(calls)))
