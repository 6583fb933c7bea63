"""All parts of the benchmark, one after another, and the files with their results."""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import jax
import rich.console

from ppcn_jax.benchmark.chart import draw_chart
from ppcn_jax.benchmark.competitors import COMPETITORS, missing_packages
from ppcn_jax.benchmark.floors import Peaks, highest, measure_peaks
from ppcn_jax.benchmark.parts.compilation import measure_compilation
from ppcn_jax.benchmark.parts.contextual import measure_contextual
from ppcn_jax.benchmark.parts.inference import measure_inference
from ppcn_jax.benchmark.parts.large_photos import measure_large_photos
from ppcn_jax.benchmark.parts.loading import Batches, measure_loading
from ppcn_jax.benchmark.parts.training import measure_training
from ppcn_jax.benchmark.random_weights import models_by_name
from ppcn_jax.benchmark.report import console_line, markdown
from ppcn_jax.benchmark.rows import Row, Rows, guarded, make_row, with_floor
from ppcn_jax.benchmark.training_steps import complete
from ppcn_jax.configuration.check import check
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.machine import describe_machine

NETWORKS = ("student", "teacher", "super_resolver")
PARTS = ("inference", "large_photos", "training", "compilation", "loading", "contextual")


def run(
    config, workdir: pathlib.Path, loaders: Mapping[str, Callable[[], Batches]]
) -> dict[str, Any]:
    """Measure: benchmark.json, benchmark.md and benchmark.svg in `workdir`.

    Args:
        config: of configs/benchmark.py.
        workdir: where the files go; they are written anew after every part.
        loaders: by name, each opens batches of training data.

    Returns:
        What benchmark.json holds: machine, peaks and rows.

    Raises:
        InputError: a part or competitor that there is not, files that cannot be read, or a
            device that is no processor.
    """
    parts = named(config.parts, PARTS, "parts")
    others = named(config.competitors, COMPETITORS, "competitors")
    if not parts or config.rounds < 1:
        raise InputError("config.parts must name one at least, and config.rounds be positive")
    if jax.default_backend() != "cpu":
        raise InputError(
            "what is compared runs on the processor, JAX would run on "
            f"{jax.default_backend()}: set JAX_PLATFORMS=cpu, or take configs/accelerator.py"
        )
    networks = models_by_name(NETWORKS, config.models)
    machine = describe_machine()
    console = rich.console.Console()
    say = functools.partial(console.print, soft_wrap=True, markup=False, highlight=False)
    rows = [left_out(name) for name in others if missing_packages(name)]
    for row in rows:
        say(console_line(row))
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-benchmark-") as name:
        folder = pathlib.Path(name)
        training = complete(config.training, folder)
        check(training, devices=jax.device_count())
        peaks = measure_peaks(**config.peaks)
        competitors = [name for name in others if not missing_packages(name)]
        measures = _measures(config, training, networks, competitors, loaders, folder)
        for part in parts:
            for row in guarded(part, measures[part]):
                rows.append(row)
                say(console_line(with_floor(row, peaks)))
            # Others may have slowed the machine down before: floors are of the best of all times.
            peaks = highest(peaks, measure_peaks(**config.peaks))
            results = _write(workdir, machine, config.rounds, peaks, rows)
    say(f"wrote {workdir / 'benchmark.md'}, .json and .svg")
    return results


def left_out(competitor: str) -> Row:
    """A row that says which packages a competitor lacks.

    Args:
        competitor: a key of `competitors.COMPETITORS`.

    Returns:
        The row.
    """
    missing = ", ".join(missing_packages(competitor))
    problem = f"no {missing}: pip install 'ppcn-jax[bench]'"
    return make_row("competitors", competitor, problem=problem)


def _measures(
    config, training, networks, competitors, loaders, folder
) -> dict[str, Callable[[], Rows]]:
    """Each part with all that it needs."""
    shared = {"rounds": config.rounds}
    size = (config.inference.height, config.inference.width)
    photos, maps = config.large_photos, config.contextual

    def inference() -> Rows:
        for model in networks.values():
            measure = functools.partial(measure_inference, model, size, competitors, **shared)
            yield from guarded(model.name, measure)

    return {
        "inference": inference,
        "large_photos": lambda: measure_large_photos(
            networks["student"], photos.sizes, folder, rounds=photos.rounds
        ),
        "training": lambda: measure_training(training, competitors, **shared),
        "compilation": lambda: measure_compilation(
            training, folder, rounds=config.compilation.rounds
        ),
        "loading": lambda: measure_loading(loaders, **shared),
        "contextual": lambda: measure_contextual(maps.side, maps.channels, **shared),
    }


def _write(
    workdir: pathlib.Path, machine: dict[str, Any], rounds: int, peaks: Peaks, rows: list[Row]
) -> dict[str, Any]:
    rows = [with_floor(row, peaks) for row in rows]
    results = {"machine": machine, "rounds": rounds, "peaks": peaks._asdict(), "rows": rows}
    write_json(workdir / "benchmark.json", results)
    text = markdown(machine, {"float32": peaks}, rows)
    write_bytes(workdir / "benchmark.md", text.encode())
    write_bytes(workdir / "benchmark.svg", draw_chart(rows).encode())
    return results


def named(text: str, known: Mapping[str, Any] | tuple[str, ...], field: str) -> list[str]:
    """The names of a list in a configuration.

    Args:
        text: names, separated by commas.
        known: which there are.
        field: of the configuration, for errors.

    Returns:
        The names in order.

    Raises:
        InputError: a name that is not known.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"config.{field} has {unknown}; there are {', '.join(known)}")
    return names
