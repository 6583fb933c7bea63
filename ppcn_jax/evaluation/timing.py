"""Run times of networks and other functions on this machine."""

import statistics
import time
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.progress

from ppcn_jax.inference.openvino_programs import OpenvinoPrograms
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.weights.model import Model, make_network

HEIGHT, WIDTH = 720, 1280  # image size of the paper's tables and of the PIRM challenge
WARM_UP = 2


def milliseconds(
    model: Model, runtime: str, *, runs: int, height: int = HEIGHT, width: int = WIDTH
) -> float:
    """Median time of a network for one image on the device, after compilation and warm-up."""
    image = jax.random.uniform(jax.random.key(0), (height, width, 3), jnp.float32)
    run = _runner(model, runtime, image)
    times = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[WARM_UP:])


def _runner(model: Model, runtime: str, image: jax.Array) -> Callable[[], object]:
    if runtime == "openvino":
        programs, pixels = OpenvinoPrograms(model), np.asarray(image)
        return lambda: programs.whole(pixels)
    params = jax.device_put(model.params)
    return lambda: apply_network(model.module, params, image).block_until_ready()


def take_turns(runners: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median seconds per runner, measured round-robin so that background load affects all equally.

    A runner returns when its work is done. Each measurement follows an unmeasured run, because
    the threads of one library spin for a while after its work and leave cold caches to the next.
    """
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def time_models(
    models: Mapping[str, Model], runtime: str, *, runs: int, console: rich.console.Console
) -> dict[str, float]:
    """Milliseconds for a 1280x720 image by the names of `models`, and of SRCNN under "SRCNN".

    Models of one network are measured once, since the time does not depend on the weights.
    """
    srcnn = make_network("srcnn")
    params = jax.jit(srcnn.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    networks: dict[nn.Module, Model] = {srcnn: Model("srcnn", "paper", {}, params, "random")}
    networks |= {model.module: model for model in models.values()}
    measured = {}
    for module in rich.progress.track(networks, description="timing 1280x720", console=console):
        measured[module] = milliseconds(networks[module], runtime, runs=runs)
    times = {name: measured[model.module] for name, model in models.items()}
    return times | {"SRCNN": measured[srcnn]}
