"""Write `.dtmodel` packages for darktable, and the `versions.json` of a repository of packages.

A package is a zip archive with one folder, named like the model: `config.json`, the graph, and the
license. darktable-org/darktable, src/common/ai_models.c, and darktable-org/darktable-ai state the
fields.
"""

import hashlib
import io
import json
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ppcn_jax.export.darktable import (
    INPUT,
    OUTPUT,
    Task,
    extended,
    on_tiles,
    task_of,
    tile_graph,
    tiled,
)
from ppcn_jax.export.images import cut, synthetic_photo
from ppcn_jax.export.onnx import open_session
from ppcn_jax.export.verify import Run, compare
from ppcn_jax.export.write import Check
from ppcn_jax.inference.enhance import enhance_levels, upscale_levels
from ppcn_jax.inference.photo import check_size
from ppcn_jax.inference.statistics import statistics_of
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.read import read_srgb
from ppcn_jax.photos.resize import shrink_to
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.weights.model import Model

VERSIONS = "versions.json"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Height and width of the photo for the comparisons, and the largest difference between tiles and
# the complete photo.
_CHECKED_SIZE = (540, 720)
_SEAM = 1e-5
# Photos for which the effect of the constant statistics is measured, and their pixels, at most.
_MEASURED, _MEASURED_PIXELS = 8, 1_000_000
_PAPER = (
    "Hui, Wang, Deng, Gao: Perception-Preserving Convolutional Networks for Image Enhancement on "
    "Smartphones, PIRM workshop at ECCV 2018"
)
_DESCRIPTIONS = {
    "denoise": "Gives phone photos the look of a better camera",
    "upscale": "Enlarges photos",
}


class Written(NamedTuple):
    """What was measured while a package was written.

    Attributes:
        check: the comparison with JAX.
        closeness: by photo, PSNR in dB between the result with the package's statistics and the
            one with the photo's own; of the first photos, shrunk to a megapixel.
    """

    check: Check
    closeness: list[tuple[pathlib.Path, float]]


def check_package(destination: pathlib.Path) -> None:
    """Check the name of a package and the list beside it; raises InputError."""
    if not _ID.fullmatch(destination.stem):
        raise InputError(
            f"{destination}: its name becomes the model's identifier in darktable; use lower-case "
            "letters, digits, - and _, such as denoise-ppcn.dtmodel"
        )
    _read_versions(destination.with_name(VERSIONS))


def write_package(
    model: Model, destination: pathlib.Path, version: str, files: Sequence[pathlib.Path]
) -> Written:
    """Write a package, and its entry in `versions.json` beside it, once the comparisons passed.

    JAX and the graph are compared, and tiles with the complete photo.

    Args:
        model: the network.
        destination: the package; its stem becomes the model's identifier.
        version: "X.Y", which darktable compares when it looks for updates.
        files: photos whose statistics the network is to use.

    Returns:
        The measurements.

    Raises:
        InputError: darktable cannot use the network, an enhancer without photos, a photo that
            cannot be read, or a result that differs too much; nothing is kept.
        OSError: a file cannot be written.
    """
    task = task_of(model)
    statistics, source = _statistics(model, task, files)
    graph = tile_graph(model, statistics, json.dumps(source))
    session = open_session(graph, threads=core_count())

    def run(images: np.ndarray) -> np.ndarray:
        (result,) = session.run(
            [OUTPUT], {INPUT: np.ascontiguousarray(images.transpose(0, 3, 1, 2))}
        )
        return result.transpose(0, 2, 3, 1)

    height, width = (side // task.scale for side in _CHECKED_SIZE)
    photo = to_uint8(read_srgb(files[0])) if files else synthetic_photo(height, width)
    photo = to_float(cut(photo, height, width))
    difference = compare(on_tiles(model, statistics), run, [photo[None]])
    difference.check("float32")
    _check_seams(run, photo, task)
    closeness = [(file, _closeness(model, run, task, file)) for file in files[:_MEASURED]]
    config = _config(model, task, destination.stem, version, source)
    content = _archive(destination.stem, config, task.file, graph, model)
    versions = destination.with_name(VERSIONS)
    listed = _read_versions(versions)
    listed["models"][destination.stem] = {
        **{key: config[key] for key in ("version", "name", "description", "task")},
        "license": config["model_card"]["license"],
        "sha256": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }
    write_bytes(destination, content)
    write_json(versions, listed)
    return Written(Check((height, width), difference), closeness)


def _statistics(
    model: Model, task: Task, files: Sequence[pathlib.Path]
) -> tuple[Mapping[str, Any], list[str]]:
    """Statistics by the name of their layers, and the photos that they were taken from."""
    if files:
        statistics = statistics_of(model.module, model.params, lambda: _read(files))
        return statistics, [file.name for file in files]
    if task.name == "denoise":
        raise InputError(
            "an enhancer for darktable needs the statistics of photos like those it will process: "
            "name some with --photos"
        )
    # All that an enlarging network takes of the photo is its mean color.
    gray = np.full((16, 16, 3), 0.5, np.float32)
    return statistics_of(model.module, model.params, lambda: [gray]), ["a medium gray"]


def _read(files: Sequence[pathlib.Path]) -> Iterator[np.ndarray]:
    for file in files:
        pixels = read_srgb(file)
        try:
            check_size(pixels)
        except InputError as error:
            raise InputError(f"{file} {error}") from error
        yield pixels


def _check_seams(run: Run, photo: np.ndarray, task: Task) -> None:
    """Raise InputError if the result on tiles differs from that on the complete photo."""
    scale, edge = task.scale, task.scale * task.overlap
    whole = run(extended(photo, task.overlap)[None])[0]
    whole = whole[edge : edge + scale * photo.shape[0], edge : edge + scale * photo.shape[1]]
    seam = float(np.abs(tiled(run, photo, task) - whole).max())
    if not seam <= _SEAM:  # also for NaN
        raise InputError(
            f"the network looks farther than darktable's tiles overlap, {task.overlap} px: seams "
            f"of up to {seam:.1e} would show. The package was not kept"
        )


def _closeness(model: Model, run: Run, task: Task, file: pathlib.Path) -> float:
    """PSNR in dB between a photo's results with the package's statistics and with its own."""
    most = _MEASURED_PIXELS // task.scale**2
    photo = shrink_to(to_uint8(read_srgb(file)), most)
    process = enhance_levels if task.scale == 1 else upscale_levels
    (own,) = process([photo], model, "jax")
    result = from_float(tiled(run, to_float(photo), task), np.uint8)
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(np.mean(np.square(to_float(result) - to_float(own)))))


def _config(model: Model, task: Task, name: str, version: str, source: list[str]) -> dict[str, Any]:
    photos = f"{len(source)} photos" if len(source) > 1 else source[0]
    return {
        "id": name,
        "name": f"ppcn {model.name.replace('_', ' ')}",
        "description": _DESCRIPTIONS[task.name],
        "task": task.name,
        "arch": model.name,
        "backend": "onnx",
        "version": version,
        "tiling": True,
        "num_inputs": 1,
        "spatial_dims": ["height", "width"],
        "model_card": {
            "long_description": f"{_DESCRIPTIONS[task.name]}. It uses the image statistics of "
            f"{photos} and does not adapt to each photo.",
            "scope": "developed photos in sRGB",
            "source": model.origin,
            "paper": _PAPER,
            "license": _license(model),
            "training_data": model.about.get("data", "not stated in the weights file"),
            "notes": "Statistics of: " + ", ".join(source),
        },
    }


def _license(model: Model) -> str:
    return model.about.get("license", "not stated in the weights file")


def _archive(name: str, config: Mapping[str, Any], file: str, graph: bytes, model: Model) -> bytes:
    """The package; the same content gives the same bytes. darktable reads the first entry's folder."""
    notes = (
        f"The network's parameters: {_license(model)}\nTheir source: {model.origin}\n"
        "The program that wrote this package, ppcn-jax: Apache-2.0\n"
    )
    entries = {
        "config.json": json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n",
        "LICENSE.txt": notes.encode(),
        file: graph,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            info = zipfile.ZipInfo(f"{name}/{entry}")  # dated 1980, whenever it is written
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _read_versions(path: pathlib.Path) -> dict[str, Any]:
    """The list of packages in a folder; an empty one if there is none."""
    if not path.exists():
        return {"schema": 1, "models": {}}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if listed["schema"] == 1 and isinstance(listed["models"], dict):
            return listed
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path} is not a list of darktable's packages; move it away")
