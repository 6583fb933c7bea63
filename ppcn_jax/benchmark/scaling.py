"""A prediction of how training scales: what the compiled step exchanges, on published networks.

Measured are the collectives of the step that is compiled for virtual devices, each with the same
share of images (weak scaling), and its floating point operations. The rest is arithmetic, made to
err on the slow side: exchanges wait for all computing, and use one axis of a torus at a time.
"""

import dataclasses
import math
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import rich.console

from ppcn_jax.benchmark.training_steps import complete, lower_step
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.training.enhancer import make_experiment

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
CHIPS = (1, 8, 64, 256, 1024)


@dataclasses.dataclass(frozen=True)
class Machine:
    """A kind of accelerator and its networks.

    Attributes:
        name: of the accelerator.
        peak: operations/s of its matrix units in the format that float32 products get by default.
        inner: bytes/s that a chip sends to others of its domain, on the way that is used.
        domain: chips that are joined so.
        outer: bytes/s that a chip sends beyond; nothing is sent there while one domain suffices.
        hops: chips -> messages that follow one another in an all-reduce within a domain.
    """

    name: str
    peak: float
    inner: float
    domain: int
    outer: float
    hops: Callable[[int], float]


def _torus(axes: int) -> Callable[[int], float]:
    # A ring along each axis, there and back: 2 (side - 1) messages.
    return lambda chips: 2 * axes * (chips ** (1 / axes) - 1)


# Published figures; docs/pods.md has the sources. What is published for both directions of all
# links is divided by two and by the axes of the torus.
MACHINES = (
    Machine("TPU v5e", 197e12, 400e9 / 2 / 2, 256, 6.4e12 / 8 / 256, _torus(2)),
    Machine("TPU v5p", 459e12, 1200e9 / 2 / 3, 6144, 50e9 / 8, _torus(3)),
    Machine("H100, InfiniBand", 494e12, 900e9 / 2, 8, 400e9 / 8, lambda chips: 2 * (chips - 1)),
)


def run(config, workdir: pathlib.Path) -> dict[str, Any]:
    """Count what the step exchanges and predict: scaling.json and scaling.md in `workdir`.

    Args:
        config: of configs/scaling.py.
        workdir: where the files go.

    Returns:
        What scaling.json holds: operations, exchanges by number of devices, and predictions.

    Raises:
        InputError: fewer devices than the configuration asks for, or files that cannot be read.
    """
    if jax.device_count() < max(config.devices):
        raise InputError(
            f"config.devices names {max(config.devices)}, there are {jax.device_count()}: set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={max(config.devices)}"
        )
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-scaling-") as folder:
        training = complete(config.training, pathlib.Path(folder))
        experiment = make_experiment(training)
    count, side = training.train.batch_size, training.data.crop
    batch = {name: np.zeros((count, side, side, 3), np.uint8) for name in ("input", "target")}
    exchanges = {}
    for devices in config.devices:
        lowered = lower_step(experiment, batch, devices)
        exchanges[devices] = exchanged(lowered.compile().as_text())
    operations = lowered.cost_analysis()["flops"]  # of one device
    results = {
        "images": count,
        "side": side,
        "operations": operations,
        "exchanges": exchanges,
        "latency": config.latency,
        "utilization": config.utilization,
        "predictions": list(_predictions(config, operations, exchanges[max(config.devices)])),
    }
    write_json(workdir / "scaling.json", results)
    text = markdown(results)
    write_bytes(workdir / "scaling.md", text.encode())
    rich.console.Console().print(text, soft_wrap=True, markup=False, highlight=False)
    return results


def exchanged(program: str) -> list[tuple[str, int]]:
    """The collectives of a compiled program.

    Args:
        program: its text.

    Returns:
        Of each, its name and the bytes that a device contributes.
    """
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

    Args:
        machine: the accelerators.
        chips: how many take part.
        size: bytes that each contributes.
        latency: of a message, seconds.

    Returns:
        Seconds: a ring within each domain, in which each chip sums up its part, and trees between
        the domains for each part.
    """
    near = min(chips, machine.domain)
    far = math.ceil(chips / machine.domain)
    seconds = 2 * size * (near - 1) / near / machine.inner + latency * machine.hops(near)
    part = size / near
    return seconds + 2 * part * (far - 1) / far / machine.outer + 2 * latency * math.log2(far)


def _predictions(config, operations: float, exchanges) -> Iterator[dict[str, Any]]:
    for machine in MACHINES:
        alone = operations / (config.utilization * machine.peak)
        for chips in CHIPS:
            waiting = sum(
                all_reduce_seconds(machine, chips, size, config.latency) for _, size in exchanges
            )
            yield {
                "machine": machine.name,
                "chips": chips,
                "step_ms": 1000 * (alone + waiting),
                "exchange_ms": 1000 * waiting,
                "efficiency": alone / (alone + waiting),
            }


def markdown(results: Mapping[str, Any]) -> str:
    """Both tables, for people.

    Args:
        results: of `run`.

    Returns:
        Markdown.
    """
    size = f"{results['images']} images of {results['side']} px a device"
    assumed = f"{results['utilization']:.0%} of the peak and {1e6 * results['latency']:g} µs"
    lines = [
        f"{size}: {results['operations'] / 1e12:.2f} TFLOP a step",
        "",
        "| virtual devices | collectives in the compiled step | bytes a device contributes |",
        "|---|---|---|",
    ]
    for devices, found in results["exchanges"].items():
        sizes = " + ".join(f"{size:,}" for _, size in found)
        names = ", ".join(f"{name}" for name, _ in found)
        lines.append(f"| {devices} | {names} | {sizes} |")
    lines += [
        "",
        f"Predicted, at {assumed} a message:",
        "",
        "| machine | chips | step, ms | of it exchanges, ms | efficiency |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['machine']} | {row['chips']} | {row['step_ms']:.2f} | {row['exchange_ms']:.3f} | "
        f"{row['efficiency']:.1%} |"
        for row in results["predictions"]
    ]
    return "\n".join(lines) + "\n"
