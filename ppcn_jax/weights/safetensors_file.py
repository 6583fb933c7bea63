"""The native weights file: safetensors with the network's name and settings in its metadata.

Tensors are float32 and named like the module's parameters, such as `conv0/kernel`. Further metadata
is for people: how the network was trained, its scores, its license.
"""

import dataclasses
import json
import os
import pathlib

import numpy as np
import safetensors
import safetensors.numpy

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.runtime.storage import local_copy, to_path
from ppcn_jax.weights.model import Model, abstract_params, check_params
from ppcn_jax.weights.trees import flatten, unflatten

SUFFIX = ".safetensors"
_FORMAT = "ppcn-jax 1"
_RESERVED = ("format", "network", "settings", "preset", "source")


def check_name(path: str | os.PathLike) -> None:
    """Raise InputError unless the path ends in `.safetensors`."""
    if pathlib.Path(path).suffix != SUFFIX:
        raise InputError(f"{path}: weights are written as safetensors; name it *{SUFFIX}")


def write_native(path: str | os.PathLike, model: Model) -> None:
    """Write a model atomically; the file name must end in `.safetensors`.

    Raises:
        InputError: another suffix, or `model.about` uses a name reserved by the format.
        OSError: the file cannot be written.
    """
    check_name(path)
    if reserved := sorted(model.about.keys() & set(_RESERVED)):
        raise InputError(
            f"{path}: metadata cannot be called {reserved[0]}, which is a reserved name"
        )
    metadata = {
        **model.about,
        "format": _FORMAT,
        "network": model.name,
        "settings": json.dumps(model.settings),
        "preset": model.preset,
        "source": model.origin,
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in flatten(model.params).items()}
    write_bytes(path, safetensors.numpy.save(arrays, metadata))


def read_native(path: str | os.PathLike, *, check: bool = True) -> Model:
    """Read a file of `write_native`; the parameters stay on the host.

    Args:
        path: the file.
        check: compare the parameters with the network, which needs JAX and Flax.

    Raises:
        InputError: the file is missing or damaged, or its tensors do not match its metadata.
    """
    path = to_path(path)
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise InputError(f"{path} is not a file")
    try:
        with local_copy(path) as local, safetensors.safe_open(local, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # also TypeError, for types that NumPy does not have
        raise InputError(f"{path} cannot be read as safetensors: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise InputError(
            f"{path} was not written by ppcn-jax convert: its metadata has the format "
            f"{metadata.get('format')!r}, not {_FORMAT!r}"
        )
    about = {name: text for name, text in metadata.items() if name not in _RESERVED}
    try:
        settings, params = json.loads(metadata["settings"]), unflatten(arrays)
        model = Model(metadata["network"], metadata["preset"], settings, params, str(path), about)
        if check:
            abstract_params(model.module)  # raises for settings that the network does not support
    except Exception as error:  # also for a name that is both an array and a group
        raise InputError(f"{path} has damaged metadata: {error}") from error
    if not check:
        return model
    return dataclasses.replace(model, params=check_params(model.module, params, path))
