"""Export networks in every format, and print size, difference from JAX and time as Markdown.

    python -m ppcn_jax.benchmark.exports WEIGHTS... --photos PATH...

The files stay in `--output`. They are timed in turn with JAX, as `ppcn-jax enhance` runs it, on
the same photo at 1280x720 and all cores of the processor. Times are medians.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence

import jax
import numpy as np

from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.export.command import DEFAULT_SIZE, FORMATS, PRECISIONS
from ppcn_jax.export.images import as_input, read_photos
from ppcn_jax.export.write import open_export, write_export
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.malloc import keep_freed_memory
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model

_HEADER = """\
| Network | File | Size, kB | Largest difference | PSNR, dB | Time | Time / JAX's |
|---|---|---:|---:|---:|---:|---:|"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, check and time the files, and print the table. Arguments are sys.argv's by default."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="+", metavar="WEIGHTS")
    parser.add_argument("--photos", nargs="+", required=True, metavar="PATH")
    parser.add_argument(
        "--output", default="exports", metavar="DIR", help="folder; default: exports"
    )
    parser.add_argument("--runs", type=int, default=10, help="timed runs of each; default: 10")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    try:
        photos = read_photos(options.photos, *DEFAULT_SIZE)
        print(_HEADER)
        for name in options.weights:
            for row in _rows(load_model(name), photos, pathlib.Path(options.output), options.runs):
                print(row, flush=True)
    except (InputError, OSError) as error:
        sys.exit(str(error))


def _rows(model: Model, photos: Sequence[np.ndarray], folder: pathlib.Path, runs: int) -> list[str]:
    files = {}
    for format, (suffix, _) in FORMATS.items():
        if format == "dtmodel":  # has another interface
            continue
        for precision in PRECISIONS if format == "tflite" else PRECISIONS[:1]:
            path = folder / f"{model.name}-{precision}{suffix}"
            checks = write_export(model, path, format, precision, DEFAULT_SIZE, photos)
            files[f"{format}, {precision}"] = path, checks[0].difference
    network = model.module, jax.device_put(model.params)
    images = as_input(model, photos[0])
    turns: dict[str, Callable[[], object]] = {
        "JAX": lambda: np.clip(apply_network(*network, images[0]), 0, 1)
    }
    for name, (path, _) in files.items():
        turns[name] = functools.partial(open_export(name.partition(",")[0], path), images)
    times = take_turns(turns, rounds=runs)
    rows = [f"| {model.name} | JAX | | | | {1000 * times['JAX']:.0f} ms | 1 |"]
    for name, (path, difference) in files.items():
        psnr = f"{difference.psnr:.1f}" if np.isfinite(difference.psnr) else "equal"
        rows.append(
            f"| {model.name} | {name} | {path.stat().st_size / 1000:.1f} | "
            f"{difference.largest:.1e} | {psnr} | {1000 * times[name]:.0f} ms | "
            f"{times[name] / times['JAX']:.2f} |"
        )
    return rows


if __name__ == "__main__":
    main()
