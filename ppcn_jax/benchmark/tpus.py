"""TPUs to compile for without having one: topologies that libtpu knows, and published figures."""

import importlib.util
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax.experimental import topologies

from ppcn_jax.runtime.errors import InputError, install_hint, printable

CPU = "cpu"
# What libtpu asks a TPU machine for, and which processes may use it: nothing here has a TPU.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class Chip(NamedTuple):
    """Published figures of one chip and its links; docs/pods.md has the sources."""

    peak: float  # floating-point operations/s in bfloat16
    bandwidth: float  # bytes/s of its memory
    memory: float  # bytes
    links: float  # bytes/s that it sends on all links of its torus together
    axes: int  # of the torus
    domain: int  # chips in the largest torus
    outer: float  # bytes/s that it sends to other toruses
    clock: float  # Hz of its processor, to turn the compiler's cycles into seconds


# By JAX's name of the kind of device. Published bandwidths of links count both directions.
CHIPS = {
    "TPU v5 lite": Chip(197e12, 819e9, 16e9, 400e9 / 2, 2, 256, 6.4e12 / 8 / 256, 1.5e9),
    "TPU v5": Chip(459e12, 2765e9, 95e9, 1200e9 / 2, 3, 6144, 50e9 / 8, 1.75e9),
}


def open_topology(name: str) -> Sequence[jax.Device]:
    """Devices of a topology, such as "v5e:4x4", that programs can be compiled for but not run on.

    "cpu" stands for this machine's own devices.

    Raises:
        InputError: libtpu is not installed, or it does not know the topology.
    """
    if name == CPU:
        return jax.devices(CPU)
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            f"config.topologies names {name}, and compiling for a TPU needs its compiler: "
            f"{install_hint('tpu-compile')}, or set --config.topologies=cpu"
        )
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=name)
    except Exception as error:  # of many classes, by version
        reason = printable(" ".join(str(error).split()))
        raise InputError(
            f"config.topologies names {name!r}, for which libtpu cannot compile ({reason}); "
            "topologies look like v5e:4x4 and v5p:4x4x8"
        ) from error
    return found.devices


def all_reduce_seconds(chip: Chip, chips: int, size: int, latency: float) -> float:
    """Predicted time of one all-reduce.

    Within each torus, rings along all axes at once, in which each chip sums up its part; between
    toruses a tree for each part. `size` is the bytes that each chip contributes, `latency` the
    seconds per message.
    """
    near = min(chips, chip.domain)
    far = math.ceil(chips / chip.domain)
    messages = 2 * chip.axes * (near ** (1 / chip.axes) - 1)
    seconds = 2 * size * (near - 1) / near / chip.links + latency * messages
    part = size / near
    return seconds + 2 * part * (far - 1) / far / chip.outer + 2 * latency * math.log2(far)
