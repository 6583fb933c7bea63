"""Training steps compiled for TPUs that are not there: memory, work, traffic, exchanges, padding.

The compiler is the one that compiles on a TPU, so that its programs show what a processor's do not.
Times are predictions: nothing is run.
"""

import contextlib
import itertools
import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.benchmark import compiled_program
from ppcn_jax.benchmark.compile_tables import markdown
from ppcn_jax.benchmark.compiled_program import Exchange
from ppcn_jax.benchmark.peaks import FORMATS
from ppcn_jax.benchmark.random_weights import with_random_networks
from ppcn_jax.benchmark.rows import names_in, record_problem
from ppcn_jax.benchmark.tpus import CHIPS, Chip, all_reduce_seconds, open_topology
from ppcn_jax.benchmark.training_steps import in_format, lower_step
from ppcn_jax.evaluation.tables import print_written
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.machine import versions
from ppcn_jax.training import enhancer, super_resolver
from ppcn_jax.training.experiment import Experiment

MODELS = ("student", "teacher", "super_resolver")
SCALES = (1, 8, 64, 256, 1024)  # chips to predict weak scaling for


def run(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Any]:
    """Compile each step for each topology: compile_for.json and compile_for.md in `workdir`.

    The files are rewritten after every program, whose text goes to the folder `programs`. Returns
    the content of compile_for.json: versions of packages, and a row per program. The row of one
    that does not compile, such as one that needs more memory than a chip has, says why.

    Raises:
        InputError: unknown models or formats, a topology that cannot be compiled for, or files
            that cannot be read.
    """
    models = names_in(config.models, MODELS, "models")
    formats = names_in(config.formats, FORMATS, "formats")
    names = [name.strip() for name in config.topologies.split(",") if name.strip()]
    for field, given in (("models", models), ("formats", formats), ("topologies", names)):
        if not given:
            raise InputError(f"config.{field} is empty")
    topologies = {name: open_topology(name) for name in names}
    rows: list[dict[str, Any]] = []
    results = {"packages": versions(), "latency": config.latency, "rows": rows}
    files = [workdir / f"compile_for.{suffix}" for suffix in ("json", "md")]
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-compile-") as folder:
        for model, format, count in itertools.product(models, formats, config.batch_sizes):
            trained = _in_format(config[model], model, format, pathlib.Path(folder))
            training = super_resolver if model == "super_resolver" else enhancer
            experiment, side = training.make_experiment(trained), trained.data.crop
            for name, devices in topologies.items():
                print(f"compiling: {model}, {format}, {count} images a chip, {name}", flush=True)
                row = {"topology": name, "model": model, "format": format, "images": count}
                row["generator"] = trained.precision.generator
                file = f"{name}-{model}-{format}-{count}.txt".replace(":", "-")
                row["problem"] = None
                with record_problem(row, "problem"), _without_cache():
                    program, seconds = compile_step(experiment, devices, count, side)
                    write_bytes(workdir / "programs" / file, program.as_text().encode())
                    row |= {"side": side, "compile_seconds": seconds}
                    row |= describe_program(program, devices, config)
                rows.append(row)
                write_json(files[0], results)
                write_bytes(files[1], markdown(results).encode())
    print(markdown(results))
    print_written(*files)
    return results


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    # A program from the cache would be compiled in no time.
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)


def _in_format(config: ConfigDict, model: str, format: str, folder: pathlib.Path) -> ConfigDict:
    """The configuration of a training run in a format; other networks are random, in `folder`."""
    if model != "super_resolver":
        return in_format(with_random_networks(config, folder), format)
    config = config.copy_and_resolve_references()
    config.precision.generator = format
    return config


def compile_step(
    experiment: Experiment, devices: Sequence[Any], count: int, side: int
) -> tuple[Any, float]:
    """Compile a step for `count` images of `side` px on each device.

    Returns the program, and the seconds that its compilation took.
    """
    batch = {name: np.zeros((count, side, side, 3), np.uint8) for name in ("input", "target")}
    lowered = lower_step(experiment, batch, devices)
    start = time.perf_counter()
    program = lowered.compile()
    return program, time.perf_counter() - start


def describe_program(program: Any, devices: Sequence[Any], config: ConfigDict) -> dict[str, Any]:
    """What a compiled program needs, as fields of a row.

    Those that need published figures of the chip are None for chips that have none in `CHIPS`.
    """
    chip = CHIPS.get(devices[0].device_kind)
    text, costs, needs = program.as_text(), program.cost_analysis(), program.memory_analysis()
    memory = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    memory -= needs.alias_size_in_bytes  # results that lie where arguments lay
    found = compiled_program.operations(text)
    moved = sum(each.moved for each in found)
    exchanges = compiled_program.exchanges(text)
    arithmetic = traffic = estimate = None
    scaling: list[dict[str, Any]] = []
    if chip:
        arithmetic, traffic = costs["flops"] / chip.peak, moved / chip.bandwidth
        estimate = sum(each.cycles for each in found) / chip.clock
        scaling = predict_scaling(chip, max(arithmetic, traffic), exchanges, config.latency)
    return {
        "chips": len(devices),
        "kind": devices[0].device_kind,
        "memory": memory,
        "memory_of_chip": chip and chip.memory,
        "flops": costs["flops"],
        "bytes_accessed": costs["bytes accessed"],
        "moved": moved,
        "padding": sum(each.padding for each in found),
        "arithmetic_seconds": arithmetic,
        "traffic_seconds": traffic,
        "estimated_seconds": estimate,
        "exchanges": [each._asdict() for each in exchanges],
        "scaling": scaling,
        "convolutions": [each._asdict() for each in compiled_program.padded_convolutions(text)],
        "operations": [
            each._asdict()
            for each in sorted(found, key=lambda each: -each.moved)[: config.operations]
        ],
    }


def predict_scaling(
    chip: Chip, computing: float, exchanges: Sequence[Exchange], latency: float
) -> list[dict[str, Any]]:
    """Predicted step times with the same number of images on each of more and more chips.

    `computing` is the seconds that a step takes on one chip, `latency` those of a message.
    """
    rows = []
    for chips in SCALES:
        waiting = 0.0
        for each in exchanges:
            seconds = all_reduce_seconds(chip, chips, each.size, latency)
            waiting += max(seconds - each.hidden / chip.clock, 0)
        row = {"chips": chips, "step_ms": 1000 * (computing + waiting)}
        row |= {"exchange_ms": 1000 * waiting, "efficiency": computing / (computing + waiting)}
        rows.append(row)
    return rows
