"""The student's training step and photos on an accelerator; the step also in PyTorch.

Times in each number format are compared with the device's peaks in that format.
"""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from ppcn_jax.benchmark.accelerator_kernels import Kernel, profile_kernels
from ppcn_jax.benchmark.competitors import JAX, split_installed
from ppcn_jax.benchmark.floors import layer_results, network_work
from ppcn_jax.benchmark.peaks import FLOAT32, FORMATS, device_peaks
from ppcn_jax.benchmark.random_weights import random_model, with_random_networks
from ppcn_jax.benchmark.report import markdown, print_row, write_report
from ppcn_jax.benchmark.rows import Rows, guarded, make_row, names_in, with_floor
from ppcn_jax.benchmark.training_steps import (
    COMPETITORS,
    VGG,
    Setup,
    compare_steps,
    lower_step,
    make_jax_step,
    make_setup,
    one_device,
    synthetic_batch,
)
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation.tables import Column, markdown_table, number, print_written
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.machine import describe_machine
from ppcn_jax.weights.model import Model

KERNEL_COLUMNS = (
    Column("kernel", lambda row: f"`{row['kernel']}`"),
    number("calls", "calls", "d"),
    number("ms", "milliseconds", ",.3f"),
    number("share", "share", ".1%"),
)
LONGEST = 10  # kernels that are listed for each training step


def require_accelerator() -> None:
    """Raise InputError if JAX has no accelerator."""
    if jax.default_backend() == "cpu":
        raise InputError(
            "this measures a GPU or TPU, but JAX finds only the CPU: install JAX for your device, "
            "e.g. pip install 'jax[cuda13]'; configs/benchmark.py measures a CPU"
        )


def run(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Any]:
    """Measure on all devices: accelerator.json, accelerator.md and accelerator.svg in `workdir`.

    The files are rewritten after every task. Returns the content of accelerator.json: machine,
    peaks by format, rows, and kernels by task.

    Raises:
        InputError: no accelerator, unknown formats or competitors, several devices although
            competitors use one, batches that the devices cannot divide, or unreadable files.
    """
    require_accelerator()
    formats = names_in(config.formats, FORMATS, "formats")
    names = names_in(config.competitors, COMPETITORS, "competitors")
    if not formats:
        raise InputError(f"config.formats is empty; known formats are {', '.join(FORMATS)}")
    if jax.process_count() > 1:
        raise InputError(f"this benchmark runs in one process, not in {jax.process_count()}")
    if names and jax.device_count() > 1:
        raise InputError(
            f"competitors use one device, JAX would use {jax.device_count()}: set "
            "CUDA_VISIBLE_DEVICES=0, or measure JAX alone with --config.competitors="
        )
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-accelerator-") as folder:
        training = with_random_networks(config.training, pathlib.Path(folder))
        for count in config.batch_sizes:
            training.train.batch_size = count
            check(training, devices=jax.device_count())
        competitors, rows = split_installed(names)
        for row in rows:
            print_row(row)
        machine = describe_machine()
        peaks = {name: device_peaks(name, **config.peaks) for name in formats}
        kernels: dict[str, list[Kernel]] = {}
        results = {
            "machine": machine,
            "rounds": config.rounds,
            "peaks": {name: each._asdict() for name, each in peaks.items()},
            "rows": rows,
            "kernels": kernels,
        }
        for name in formats:
            setup = make_setup(training, name, competitors)
            for task, measure_task in _tasks(config, setup, peaks[name].flops, kernels):
                for row in guarded(task, measure_task):
                    rows.append(with_floor(row, peaks[name]))
                    print_row(rows[-1])
                text = markdown(machine, peaks, rows) + _kernel_tables(kernels)
                files = write_report(workdir, "accelerator", results, text)
    print_written(*files)
    return results


def _tasks(
    config: ConfigDict, setup: Setup, peak: float, kernels: dict[str, list[Kernel]]
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    """Name and measurement of each task in one format."""
    side = setup.config.data.crop
    settings = {"peak": peak, "rounds": config.rounds, "steps": config.steps}
    for count in config.batch_sizes:
        task = f"student's training step, {count} of {side}x{side}, {setup.format}"
        yield task, functools.partial(measure_steps, task, setup, count, kernels, **settings)
    if setup.format != FLOAT32:
        return  # photos are always enhanced in float32
    for model in map(random_model, ("student", "teacher")):
        task = f"{model.name}, {setup.format}"
        yield task, functools.partial(measure_photos, task, model, config.sizes, config.rounds)


def measure_steps(
    task: str,
    setup: Setup,
    count: int,
    kernels: dict[str, list[Kernel]],
    *,
    peak: float,
    rounds: int,
    steps: int,
) -> Rows:
    """Time the training step with `count` images on all devices together, see `compare_steps`.

    `peak` is in floating-point operations per second. Memory is what JAX's compiled step needs,
    and the most that PyTorch held. The longest kernels of JAX's step go to `kernels[task]`.
    """
    batch = synthetic_batch(count, setup.config.data.crop)
    lowered = lower_step(setup.experiment, one_device(batch), jax.local_devices())
    program = lowered.compile()
    repeat = make_jax_step(setup.experiment, batch, program)
    for row in compare_steps(task, setup, batch, {JAX: repeat}, rounds=rounds, steps=steps):
        if not row["problem"]:
            seconds = row["milliseconds"] / 1000
            row["note"] = f"{row['operations'] / seconds / peak:.0%} of the peak"
            if row["name"] != VGG:
                row["note"] = f"{count / seconds:,.0f} images a second, {row['note']}"
        if row["name"] == JAX:
            row["megabytes"] = _megabytes(program)
        yield row
    kernels[task] = profile_kernels(repeat, most=LONGEST)


def _megabytes(program: Any) -> float:
    """Memory that a compiled program needs on a device: arguments, results and temporaries."""
    needs = program.memory_analysis()
    size = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    return (size - needs.alias_size_in_bytes) / 1e6


def measure_photos(task: str, model: Model, sizes: Sequence[tuple[int, int]], rounds: int) -> Rows:
    """Time a network on undivided photos, (height, width) each, that are on the device.

    The note is the effective bandwidth: the photo is read and the result written once, and each
    convolution's result is written and read once.
    """
    params = jax.device_put(model.params)
    for height, width in sizes:
        image = jax.random.uniform(jax.random.key(0), (height, width, 3))

        def enhance(image: jax.Array = image) -> None:
            apply_network(model.module, params, image).block_until_ready()

        enhance()  # compiles
        (seconds,) = take_turns({"": enhance}, rounds=rounds).values()
        maps = layer_results(model.module, params, image[None]).values()
        moved = 2 * image.nbytes + 2 * sum(4 * each.size for each in maps)
        yield make_row(
            task,
            f"{width}x{height}",
            milliseconds=1000 * seconds,
            **network_work(model.module, params, image)._asdict(),
            note=f"{moved / seconds / 1e9:,.0f} GB/s effective",
        )


def _kernel_tables(kernels: dict[str, list[Kernel]]) -> str:
    return "".join(
        f"\nKernels of JAX, {task}:\n\n{markdown_table(KERNEL_COLUMNS, rows)}"
        for task, rows in kernels.items()
        if rows
    )
