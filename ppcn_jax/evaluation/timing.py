"""How long networks take on this machine."""

import statistics
import time
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import rich.console
import rich.progress

from ppcn_jax.inference.enhance import apply_network
from ppcn_jax.models.layers import Params
from ppcn_jax.weights.model import Model, make_network

HEIGHT, WIDTH = 720, 1280  # of the paper's tables and of the challenge
WARM_UP = 2


def milliseconds(
    module: nn.Module, params: Params, *, runs: int, height: int = HEIGHT, width: int = WIDTH
) -> float:
    """Median time of one image that is on the device already, after compiling and warming up.

    Args:
        module: the network.
        params: its parameters.
        runs: how many times are measured.
        height: of the image.
        width: of the image.

    Returns:
        Milliseconds.
    """
    params = jax.device_put(params)
    image = jax.random.uniform(jax.random.key(0), (height, width, 3), jnp.float32)
    times = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        apply_network(module, params, image).block_until_ready()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[WARM_UP:])


def take_turns(runners: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median time of each of several, which take turns so that what else a machine does hits all.

    Args:
        runners: what is timed, by name; each returns when its work is done.
        rounds: how many times each is measured, right after a run that is not: threads of one
            library spin for a while after its work, and leave the next one cold caches.

    Returns:
        Seconds by name.
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
    models: dict[str, Model], *, runs: int, console: rich.console.Console
) -> dict[str, float]:
    """Milliseconds for a 1280x720 image, each network measured once whatever its weights.

    Args:
        models: by name.
        runs: measured for each.
        console: shows what is being measured.

    Returns:
        By the names of `models`, and under "SRCNN" that of SRCNN, which the scores need.
    """
    # An untrained SRCNN is as fast as a trained one.
    srcnn = make_network("srcnn")
    params = jax.jit(srcnn.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    networks: dict[nn.Module, Params] = {srcnn: params}
    networks |= {model.module: model.params for model in models.values()}
    measured = {}
    for module in rich.progress.track(networks, description="timing 1280x720", console=console):
        measured[module] = milliseconds(module, networks[module], runs=runs)
    return {name: measured[model.module] for name, model in models.items()} | {
        "SRCNN": measured[srcnn]
    }
