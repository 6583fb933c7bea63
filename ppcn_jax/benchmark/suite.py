"""All parts of the processor's benchmark in sequence, and the files with their results."""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from ppcn_jax.benchmark.competitors import COMPETITORS, split_installed
from ppcn_jax.benchmark.parts.compilation import measure_compilation
from ppcn_jax.benchmark.parts.contextual import measure_contextual
from ppcn_jax.benchmark.parts.host import measure_host
from ppcn_jax.benchmark.parts.inference import measure_inference
from ppcn_jax.benchmark.parts.large_photos import measure_large_photos
from ppcn_jax.benchmark.parts.loading import Batches, measure_loading
from ppcn_jax.benchmark.parts.losses import measure_losses
from ppcn_jax.benchmark.parts.training import measure_training
from ppcn_jax.benchmark.peaks import highest, measure_peaks
from ppcn_jax.benchmark.random_weights import models_by_name, with_random_networks
from ppcn_jax.benchmark.report import markdown, print_row, write_report
from ppcn_jax.benchmark.rows import Rows, guarded, names_in, with_floor
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation.tables import print_written
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.machine import describe_machine
from ppcn_jax.weights.model import Model

ENHANCING = ("student", "teacher")
NETWORKS = (*ENHANCING, "super_resolver")
PARTS = (
    *("inference", "large_photos", "training", "compilation", "loading", "losses", "contextual"),
    "host",
)

# Other libraries that parts compare with.
_COMPARED = {
    **dict.fromkeys(("inference", "training", "contextual"), tuple(COMPETITORS)),
    "large_photos": ("OpenVINO",),
}


def run(
    config: ConfigDict, workdir: pathlib.Path, loaders: Mapping[str, Callable[[], Batches]]
) -> dict[str, Any]:
    """Measure: benchmark.json, benchmark.md and benchmark.svg in `workdir`.

    The files are rewritten after every part. `loaders` are functions that open batches of
    training data, by name. Returns the content of benchmark.json: machine, peaks and rows.

    Raises:
        InputError: unknown parts or competitors, files that cannot be read, or a device that is
            not the processor.
    """
    parts = names_in(config.parts, PARTS, "parts")
    names = names_in(config.competitors, COMPETITORS, "competitors")
    if not parts:
        raise InputError(f"config.parts is empty; known parts are {', '.join(PARTS)}")
    if config.rounds < 1:
        raise InputError(f"config.rounds is {config.rounds}; it must be positive")
    if jax.default_backend() != "cpu":
        raise InputError(
            "this benchmark compares libraries on the processor, but JAX would run on "
            f"{jax.default_backend()}: set JAX_PLATFORMS=cpu, or use configs/accelerator.py"
        )
    networks = models_by_name(NETWORKS, config.models)
    machine = describe_machine()
    compared = {name for part in parts for name in _COMPARED.get(part, ())}
    competitors, rows = split_installed([name for name in names if name in compared])
    for row in rows:
        print_row(row)
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-benchmark-") as name:
        folder = pathlib.Path(name)
        training = with_random_networks(config.training, folder)
        check(training, devices=jax.device_count())
        peaks = measure_peaks(**config.peaks)
        measures = _measures(config, training, networks, competitors, loaders, folder)
        for part in parts:
            for row in guarded(part, measures[part]):
                rows.append(row)
                print_row(with_floor(row, peaks))
            # Another process may have slowed down an earlier measurement: use the best of all.
            peaks = highest(peaks, measure_peaks(**config.peaks))
            results = {
                "machine": machine,
                "rounds": config.rounds,
                "peaks": peaks._asdict(),
                "rows": [with_floor(row, peaks) for row in rows],
            }
            text = markdown(machine, {"float32": peaks}, results["rows"])
            files = write_report(workdir, "benchmark", results, text)
    print_written(*files)
    return results


def _measures(
    config: ConfigDict,
    training: ConfigDict,
    networks: Mapping[str, Model],
    competitors: Sequence[str],
    loaders: Mapping[str, Callable[[], Batches]],
    folder: pathlib.Path,
) -> dict[str, Callable[[], Rows]]:
    """Each part as a function without arguments."""
    rounds, photos, maps = config.rounds, config.large_photos, config.contextual
    size = (config.inference.height, config.inference.width)

    def inference() -> Rows:
        for model in networks.values():
            measure = functools.partial(measure_inference, model, size, competitors, rounds=rounds)
            yield from guarded(model.name, measure)

    def large_photos() -> Rows:
        for name in names_in(photos.models, ENHANCING, "large_photos.models"):
            for runtime in ("jax", *(["openvino"] if "OpenVINO" in competitors else [])):
                yield from measure_large_photos(
                    networks[name], runtime, photos.sizes, folder, rounds=photos.rounds
                )

    return {
        "inference": inference,
        "large_photos": large_photos,
        "training": lambda: measure_training(training, competitors, rounds=rounds),
        "compilation": lambda: measure_compilation(
            training, folder, rounds=config.compilation.rounds
        ),
        "loading": lambda: measure_loading(loaders, rounds=rounds),
        "host": lambda: measure_host(training, folder, rounds=rounds, **config.host),
        "losses": lambda: measure_losses(config.losses.sizes, rounds=config.losses.rounds),
        "contextual": lambda: measure_contextual(
            maps.side, maps.channels, competitors, rounds=rounds
        ),
    }
