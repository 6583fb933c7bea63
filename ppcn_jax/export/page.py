"""A folder with a page that runs a network in a browser, in bands, with ONNX Runtime Web.

The page's own files are in `page_files/`. ONNX Runtime Web is copied from its npm package: the page
asks no other host for anything.
"""

import hashlib
import json
import os
import pathlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppcn_jax.export.onnx_parts import to_onnx_parts
from ppcn_jax.export.write import Check, check_parts
from ppcn_jax.inference.enhance import scale_of
from ppcn_jax.inference.structure import statistic_names, structure_of
from ppcn_jax.photos.icc import D65, SRGB_CURVE, SRGB_PRIMARIES, make_profile
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import ENHANCERS, Model

FORMAT = "ppcn-jax page 1"
MODULES = "PPCN_NODE_MODULES"
# Files of ONNX Runtime Web for WebAssembly, and those for WebGPU, which most visitors never load.
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
RUNTIME_ON_DEMAND = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
_FILES = pathlib.Path(__file__).with_name("page_files")
_PLAN, _LIST = "page.json", "files.js"
_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def find_runtime(modules: str | None) -> pathlib.Path:
    """The folder of ONNX Runtime Web's npm package.

    Args:
        modules: a folder `node_modules`; by default that of the environment variable
            PPCN_NODE_MODULES, or else of the working directory.

    Raises:
        InputError: the package is not there, or lacks a file.
    """
    folder = pathlib.Path(modules or os.environ.get(MODULES) or "node_modules")
    package = folder / "onnxruntime-web"
    if not (package / "package.json").is_file():
        raise InputError(
            f"a page needs ONNX Runtime Web, which is not in {folder}: run `npm install "
            f"onnxruntime-web` and name its folder by --node-modules or {MODULES}"
        )
    for name in (*RUNTIME, *RUNTIME_ON_DEMAND):
        if not (package / "dist" / name).is_file():
            raise InputError(
                f"{package} lacks dist/{name}; run `npm install onnxruntime-web@latest`, 1.30 or "
                "later"
            )
    return package


def check_folder(destination: pathlib.Path, overwrite: bool) -> None:
    """Check that a page may be written to a folder; raises InputError."""
    if destination.exists():
        if not destination.is_dir():
            raise InputError(f"{destination} is a file; a page is a folder")
        if any(destination.iterdir()):
            if not _is_page(destination):
                raise InputError(f"{destination} has files that are no page; name another folder")
            if not overwrite:
                raise InputError(f"{destination} already exists; --overwrite replaces it")


def write_page(
    model: Model,
    destination: pathlib.Path,
    size: tuple[int, int],
    photos: Sequence[np.ndarray],
    package: pathlib.Path,
) -> list[Check]:
    """Write a page that enhances or enlarges photos by a network, once it equals JAX.

    Args:
        model: the network.
        destination: the folder; a page that is there is replaced.
        size: height and width for the comparison.
        photos: uint8 `[height, width, 3]`; a synthetic photo is used if there are none.
        package: of ONNX Runtime Web, see `find_runtime`.

    Returns:
        The results of the comparisons.

    Raises:
        InputError: a network without statistics of the image, or that differs too much; nothing is
            kept.
        OSError: a file cannot be written.
    """
    if not statistic_names(structure_of(model)):
        raise InputError(
            f"a page runs networks that use statistics of the image, and a {model.name} uses none"
        )
    parts = to_onnx_parts(model, pathlib.Path("model", "network.onnx"))
    checks = check_parts(model, parts, size, photos)
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    own = {path.as_posix(): content for path, content in parts.items()}
    own |= {file.name: file.read_bytes() for file in _FILES.iterdir()}
    own[_PLAN] = json.dumps(_plan(model, parts, version), indent=2).encode() + b"\n"
    own["srgb.icc"] = make_profile("sRGB", SRGB_PRIMARIES, D65, SRGB_CURVE)
    own["LICENSE.txt"] = _licenses(model, version).encode()
    own[_LIST] = _list_of_files(own, version)
    _replace_folder(destination, own, package / "dist")
    return checks


def _plan(model: Model, parts: Mapping[pathlib.Path, bytes], version: str) -> dict[str, Any]:
    """What the page knows of the network; the plan of its passes is that of the ONNX files."""
    import onnx

    *_, last = parts.values()
    metadata = {item.key: item.value for item in onnx.load_from_string(last).metadata_props}
    plan = json.loads(metadata["statistics"])
    files = [{"file": path.as_posix(), "bytes": len(content)} for path, content in parts.items()]
    passes = [
        file | {"statistic": item["statistic"]}
        for file, item in zip(files[:-1], plan["passes"], strict=True)
    ]
    enhances = model.name in ENHANCERS
    return {
        "format": FORMAT,
        "network": model.name,
        "source": model.origin,
        "license": _license(model),
        "use": "enhance" if enhances else "enlarge",
        "scale": 1 if enhances else scale_of(model),
        **plan,
        "passes": passes,
        "result": files[-1],
        "runtime": f"ONNX Runtime Web {version}",
    }


def _license(model: Model) -> str:
    return model.about.get("license", "license not stated in the weights file")


def _licenses(model: Model, version: str) -> str:
    return (
        f"The network's parameters: {_license(model)}\nTheir source: {model.origin}\n\n"
        "The page and the program that wrote it, ppcn-jax: Apache-2.0\n\n"
        f"The folder ort, ONNX Runtime Web {version}: MIT License\n\n"
        f"Copyright (c) Microsoft Corporation\n\n{_MIT}"
    )


def _list_of_files(own: Mapping[str, bytes], version: str) -> bytes:
    """What the service worker keeps; the version is that of all contents together."""
    digest = hashlib.sha256(version.encode())
    for name, content in sorted(own.items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    files = sorted([*own, *(f"ort/{name}" for name in RUNTIME)])
    lists = {
        "VERSION": digest.hexdigest()[:16],
        "FILES": [name for name in files if name != "service_worker.js"],
        "ON_DEMAND": [f"ort/{name}" for name in RUNTIME_ON_DEMAND],
    }
    lines = ["// Written by ppcn-jax export."]
    lines += [f"self.{name} = {json.dumps(value, indent=2)};" for name, value in lists.items()]
    return "\n".join(lines).encode() + b"\n"


def _replace_folder(
    destination: pathlib.Path, own: Mapping[str, bytes], runtime: pathlib.Path
) -> None:
    """Write a folder under a temporary name, then exchange it for what is there."""
    destination = destination.absolute()
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = destination.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.partial")
    old = beside.with_suffix(".old")
    try:
        for name, content in own.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_bytes(content)
        (beside / "ort").mkdir()
        for name in (*RUNTIME, *RUNTIME_ON_DEMAND):
            shutil.copyfile(runtime / name, beside / "ort" / name)
        if destination.exists():
            destination.rename(old)
        beside.rename(destination)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_page(folder: pathlib.Path) -> bool:
    try:
        return json.loads((folder / _PLAN).read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False
