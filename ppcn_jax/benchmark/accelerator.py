"""The student's training step and photos on an accelerator, the step beside PyTorch's.

Each format of products has a peak of its own, which is what the use of the device is relative to.
"""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import rich.console

from ppcn_jax.benchmark.accelerator_steps import Contest, measure_steps
from ppcn_jax.benchmark.chart import draw_chart
from ppcn_jax.benchmark.competitors import missing_packages
from ppcn_jax.benchmark.floors import layer_results, network_work
from ppcn_jax.benchmark.product_formats import FORMATS, HALF, device_peaks
from ppcn_jax.benchmark.random_weights import random_model
from ppcn_jax.benchmark.report import console_line, markdown
from ppcn_jax.benchmark.rows import Rows, guarded, make_row, with_floor
from ppcn_jax.benchmark.suite import left_out, named
from ppcn_jax.benchmark.training_steps import COMPETITORS, complete
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation.tables import Column, markdown_table, number
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.inference.enhance import apply_network
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.machine import describe_machine
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.weights.model import Model

KERNEL_COLUMNS = (
    Column("kernel", lambda row: f"`{row['kernel']}`"),
    number("calls", "calls", "d"),
    number("ms", "milliseconds", ",.3f"),
    number("share", "share", ".1%"),
)


def run(config, workdir: pathlib.Path) -> dict[str, Any]:
    """Measure: accelerator.json, accelerator.md and accelerator.svg in `workdir`.

    Args:
        config: of configs/accelerator.py.
        workdir: where the files go; they are written anew after every task.

    Returns:
        What accelerator.json holds: machine, peaks by format, rows, and kernels by task.

    Raises:
        InputError: no accelerator, unknown formats or competitors, more devices than a competitor
            uses, batches that the devices cannot share, or files that cannot be read.
    """
    require_accelerator()
    formats = named(config.formats, tuple(FORMATS), "formats")
    others = named(config.competitors, tuple(COMPETITORS), "competitors")
    if not formats:
        raise InputError(f"config.formats is empty; there are {', '.join(FORMATS)}")
    if jax.process_count() > 1:
        raise InputError(f"this measures one process, and there are {jax.process_count()}")
    if others and jax.device_count() > 1:
        raise InputError(
            f"competitors use one device, JAX would use {jax.device_count()}: set "
            "CUDA_VISIBLE_DEVICES=0, or measure JAX alone with --config.competitors="
        )
    console = rich.console.Console()
    say = functools.partial(console.print, soft_wrap=True, markup=False, highlight=False)
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-accelerator-") as folder:
        training = complete(config.training, pathlib.Path(folder))
        for count in config.batch_sizes:
            training.train.batch_size = count
            check(training, devices=jax.device_count())
        rows = [left_out(name) for name in others if missing_packages(name)]
        for row in rows:
            say(console_line(row))
        peaks = {name: device_peaks(name, **config.peaks) for name in formats}
        results = {
            "machine": describe_machine(),
            "rounds": config.rounds,
            "peaks": {name: each._asdict() for name, each in peaks.items()},
            "rows": rows,
            "kernels": {},
        }
        competitors = [name for name in others if not missing_packages(name)]
        for name in formats:
            contest = _open_contest(training, name, peaks[name].flops, competitors)
            with jax.default_matmul_precision(FORMATS[name]):
                for task, measure in _tasks(config, contest, results["kernels"]):
                    for row in guarded(task, measure):
                        rows.append(with_floor(row, peaks[name]))
                        say(console_line(rows[-1]))
                    _write(workdir, results, markdown(results["machine"], peaks, rows))
    say(f"wrote {workdir / 'accelerator.md'}, .json and .svg")
    return results


def require_accelerator() -> None:
    """Raise an InputError if JAX has no accelerator."""
    if jax.default_backend() == "cpu":
        raise InputError(
            "this measures a GPU or TPU, but JAX finds only the CPU: install JAX for your device, "
            "e.g. pip install 'jax[cuda13]'; configs/benchmark.py measures a CPU"
        )


def _open_contest(training, name: str, peak: float, competitors: Sequence[str]) -> Contest:
    training = training.copy_and_resolve_references()
    if name == HALF:
        training.precision.vgg = training.precision.discriminator = name
    return Contest(training, make_experiment(training), name, peak, competitors)


def _tasks(config, contest: Contest, kernels) -> Iterator[tuple[str, Callable[[], Rows]]]:
    """What is measured in one format: name and measurement of each task."""
    side = contest.config.data.crop
    settings = {"rounds": config.rounds, "steps": config.steps}
    for count in config.batch_sizes:
        task = f"student's training step, {count} of {side}x{side}, {contest.name}"
        yield task, functools.partial(measure_steps, task, contest, count, kernels, **settings)
    if contest.name == HALF:
        return  # networks for photos compute in float32
    for model in map(random_model, ("student", "teacher")):
        task = f"{model.name}, {contest.name}"
        yield task, functools.partial(measure_photos, task, model, config.sizes, config.rounds)


def measure_photos(task: str, model: Model, sizes: Sequence[tuple[int, int]], rounds: int) -> Rows:
    """Time a network on photos that are on the device, each as a whole.

    Args:
        task: its name.
        model: the network.
        sizes: height and width of each photo.
        rounds: measured of each.

    Yields:
        A row for each size, with the effective bandwidth: the photo is read and the result
        written once, and each convolution's result written and read once.
    """
    params = jax.device_put(model.params)
    for height, width in sizes:
        name = f"{width}x{height}"
        image = jax.random.uniform(jax.random.key(0), (height, width, 3))
        call = functools.partial(_finish, apply_network, model.module, params, image)
        call()  # compiled
        (seconds,) = take_turns({name: call}, rounds=rounds).values()
        maps = layer_results(model.module, params, image[None]).values()
        moved = 2 * image.nbytes + 2 * sum(4 * each.size for each in maps)
        yield make_row(
            task,
            name,
            milliseconds=1000 * seconds,
            **network_work(model.module, params, image)._asdict(),
            note=f"{moved / seconds / 1e9:,.0f} GB/s effective",
        )


def _finish(function: Callable[..., jax.Array], *arguments: Any) -> None:
    jax.block_until_ready(function(*arguments))


def _write(workdir: pathlib.Path, results: dict[str, Any], text: str) -> None:
    for task, kernels in results["kernels"].items():
        if kernels:
            text += f"\nKernels of JAX, {task}:\n\n{markdown_table(KERNEL_COLUMNS, kernels)}"
    write_json(workdir / "accelerator.json", results)
    write_bytes(workdir / "accelerator.md", text.encode())
    write_bytes(workdir / "accelerator.svg", draw_chart(results["rows"]).encode())
