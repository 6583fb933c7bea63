"""A prediction of how training scales, from the data that the compiled step exchanges.

The step is compiled for virtual devices, each with the same number of images (weak scaling); its
collectives and floating-point operations are counted. The rest is arithmetic with the published
speeds of interconnects. It is pessimistic: exchanges wait for all computation, and use one axis of a
torus at a time.
"""

import dataclasses
import math
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.benchmark.random_weights import with_random_networks
from ppcn_jax.benchmark.training_steps import lower_step
from ppcn_jax.evaluation.tables import Column, markdown_table, number
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.training.enhancer import make_experiment

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
CHIPS = (1, 8, 64, 256, 1024)

EXCHANGE_COLUMNS = (
    number("virtual devices", "devices", "d"),
    Column("collectives in the compiled step", lambda row: ", ".join(row["names"])),
    Column("bytes a device contributes", lambda row: " + ".join(map("{:,}".format, row["sizes"]))),
)
PREDICTION_COLUMNS = (
    Column("machine", lambda row: row["machine"]),
    number("chips", "chips", "d"),
    number("step, ms", "step_ms", ".2f"),
    number("of it exchanges, ms", "exchange_ms", ".3f"),
    number("efficiency", "efficiency", ".1%"),
)


@dataclasses.dataclass(frozen=True)
class Machine:
    """A kind of accelerator and its networks."""

    name: str
    peak: float  # operations/s of its matrix units in the default format of float32 products
    inner: float  # bytes/s that a chip sends within its domain, on the links used at a time
    domain: int  # number of chips that are linked in this way
    outer: float  # bytes/s that a chip sends to other domains; unused while one domain suffices
    hops: Callable[[int], float]  # chips -> consecutive messages in an all-reduce in a domain


def _torus(axes: int) -> Callable[[int], float]:
    # A ring along each axis, in both directions: 2 (side - 1) messages.
    return lambda chips: 2 * axes * (chips ** (1 / axes) - 1)


# Published figures; docs/pods.md has the sources. Figures for both directions of all links are
# divided by two and by the number of axes of the torus.
MACHINES = (
    Machine("TPU v5e", 197e12, 400e9 / 2 / 2, 256, 6.4e12 / 8 / 256, _torus(2)),
    Machine("TPU v5p", 459e12, 1200e9 / 2 / 3, 6144, 50e9 / 8, _torus(3)),
    Machine("H100, InfiniBand", 494e12, 900e9 / 2, 8, 400e9 / 8, lambda chips: 2 * (chips - 1)),
)


def run(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Any]:
    """Count what the step exchanges and predict: scaling.json and scaling.md in `workdir`.

    Returns the content of scaling.json: operations, exchanges by number of devices, predictions.

    Raises:
        InputError: fewer devices than the configuration names, or files that cannot be read.
    """
    if jax.device_count() < max(config.devices):
        raise InputError(
            f"config.devices names {max(config.devices)}, but JAX has {jax.device_count()}: set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={max(config.devices)}"
        )
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-scaling-") as folder:
        training = with_random_networks(config.training, pathlib.Path(folder))
        experiment = make_experiment(training)
    count, side = training.train.batch_size, training.data.crop
    batch = {name: np.zeros((count, side, side, 3), np.uint8) for name in ("input", "target")}
    exchanges = {}
    for devices in config.devices:
        lowered = lower_step(experiment, batch, devices)
        exchanges[devices] = exchanged(lowered.compile().as_text())
    operations = lowered.cost_analysis()["flops"]  # of one device
    sizes = [size for _, size in exchanges[max(config.devices)]]
    results = {
        "images": count,
        "side": side,
        "operations": operations,
        "exchanges": exchanges,
        "latency": config.latency,
        "utilization": config.utilization,
        "predictions": list(_predictions(operations, sizes, config.utilization, config.latency)),
    }
    write_json(workdir / "scaling.json", results)
    text = markdown(results)
    write_bytes(workdir / "scaling.md", text.encode())
    print(text)
    return results


def exchanged(program: str) -> list[tuple[str, int]]:
    """Collectives in the text of a compiled program: name, and bytes that a device contributes."""
    names = "|".join(COLLECTIVES)
    found = re.findall(rf"(?m)^.* = (.*?) ({names})(?:-start)?\(", program)
    return [
        (name, sum(map(_bytes, re.findall(r"\b[a-z]+\d+\[[\d,]*\]", to)))) for to, name in found
    ]


def _bytes(array: str) -> int:
    kind, sides = array.rstrip("]").split("[")
    bits = int(re.sub(r"\D", "", kind))
    return bits // 8 * math.prod(int(side) for side in sides.split(",") if side)


def all_reduce_seconds(machine: Machine, chips: int, size: int, latency: float) -> float:
    """Predicted time of one all-reduce.

    Within each domain a ring, in which each chip sums up its part; between the domains a tree for
    each part. `size` is the bytes that each chip contributes, `latency` the seconds per message.
    """
    near = min(chips, machine.domain)
    far = math.ceil(chips / machine.domain)
    seconds = 2 * size * (near - 1) / near / machine.inner + latency * machine.hops(near)
    part = size / near
    return seconds + 2 * part * (far - 1) / far / machine.outer + 2 * latency * math.log2(far)


def _predictions(
    operations: float, sizes: Sequence[int], utilization: float, latency: float
) -> Iterator[dict[str, Any]]:
    """Predicted times of a step with all-reduces of `sizes` bytes, by machine and chips."""
    for machine in MACHINES:
        computing = operations / (utilization * machine.peak)
        for chips in CHIPS:
            waiting = sum(all_reduce_seconds(machine, chips, size, latency) for size in sizes)
            yield {
                "machine": machine.name,
                "chips": chips,
                "step_ms": 1000 * (computing + waiting),
                "exchange_ms": 1000 * waiting,
                "efficiency": computing / (computing + waiting),
            }


def markdown(results: Mapping[str, Any]) -> str:
    """Both tables as Markdown, for the results of `run`."""
    exchanges = [
        {"devices": devices, "names": [name for name, _ in found], "sizes": [n for _, n in found]}
        for devices, found in results["exchanges"].items()
    ]
    return (
        f"{results['images']} images of {results['side']} px a device: "
        f"{results['operations'] / 1e12:.2f} TFLOP a step\n\n"
        f"{markdown_table(EXCHANGE_COLUMNS, exchanges)}\n"
        f"Predicted, at {results['utilization']:.0%} of the peak and "
        f"{1e6 * results['latency']:g} µs a message:\n\n"
        f"{markdown_table(PREDICTION_COLUMNS, results['predictions'])}"
    )
