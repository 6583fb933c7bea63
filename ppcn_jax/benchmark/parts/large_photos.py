"""Large photos through one network: time per pixel, and memory."""

import functools
import pathlib
from collections.abc import Sequence

from ppcn_jax.benchmark.child import run_child, tiled_photo
from ppcn_jax.benchmark.floors import network_work
from ppcn_jax.benchmark.rows import Rows, make_row
from ppcn_jax.evaluation.timing import take_turns
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.inference.runtimes import RUNTIME_NAMES
from ppcn_jax.weights.model import Model
from ppcn_jax.weights.safetensors_file import write_native


def measure_large_photos(
    model: Model,
    runtime: str,
    sizes: Sequence[tuple[int, int]],
    folder: pathlib.Path,
    *,
    rounds: int,
) -> Rows:
    """Time uint8 photos of several sizes through `enhance_levels`, from array to array.

    The runtime is "jax" or "openvino".

    The ratio compares the time per pixel with that of the first size; it is 1 where time is
    proportional to the number of pixels. Memory is the peak of a process that enhances this photo
    only, imports included. `sizes` are (height, width), the smallest first.
    """
    file = folder / "photos.safetensors"
    write_native(file, model)
    photos = {f"{width}x{height}": tiled_photo(height, width) for height, width in sizes}
    seconds = take_turns(
        {
            name: functools.partial(enhance_levels, [photo], model, runtime)
            for name, photo in photos.items()
        },
        rounds=rounds,
    )
    first = next(iter(photos))
    per_pixel = {name: seconds[name] / photo.size for name, photo in photos.items()}
    for (name, photo), (height, width) in zip(photos.items(), sizes, strict=True):
        yield make_row(
            f"{model.name} in {RUNTIME_NAMES[runtime]}, large photos; ratio: for a pixel",
            name,
            milliseconds=1000 * seconds[name],
            ratio=per_pixel[name] / per_pixel[first],
            **network_work(model.module, model.params, photo)._asdict(),
            megabytes=run_child("photo", runtime, str(file), str(height), str(width)) / 1e6,
        )
