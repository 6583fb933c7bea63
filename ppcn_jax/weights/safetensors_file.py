"""The native weights file: safetensors, with the network's name and settings in its metadata.

Tensors are named like the module's parameters, `conv0/kernel`, and are float32. Whatever else is in
the metadata says how they were trained and what they are worth, for people.
"""

import json
import os
import pathlib

import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes
from ppcn_jax.weights.model import Model, abstract_params, check_params, make_network, settings_of

SUFFIX = ".safetensors"
_FORMAT = "ppcn-jax 1"
_NEEDED = ("format", "network", "settings", "preset", "source")


def check_name(path: str | os.PathLike) -> pathlib.Path:
    """The path of a native file.

    Args:
        path: `*.safetensors`.

    Returns:
        The same.

    Raises:
        InputError: another suffix.
    """
    path = pathlib.Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: weights are written as safetensors; name it *{SUFFIX}")
    return path


def write_native(path: str | os.PathLike, model: Model) -> None:
    """Write a model, whole or not at all.

    Args:
        path: the file, `*.safetensors`.
        model: what to write.

    Raises:
        InputError: another suffix, or `model.about` has a name that the format needs for itself.
        OSError: it cannot be written.
    """
    path = check_name(path)
    if taken := sorted(model.about.keys() & set(_NEEDED)):
        raise InputError(f"{path}: what is told about a network cannot be called {taken[0]}")
    metadata = {
        **model.about,
        "format": _FORMAT,
        "network": model.name,
        "settings": json.dumps(settings_of(model.module)),
        "preset": model.preset,
        "source": model.source,
    }
    arrays = {
        name: np.ascontiguousarray(array)
        for name, array in flatten_dict(model.params, sep="/").items()
    }
    write_bytes(path, safetensors.numpy.save(arrays, metadata))


def read_native(path: str | os.PathLike) -> Model:
    """Read what `write_native` wrote.

    Args:
        path: the file.

    Returns:
        The model, parameters on the host.

    Raises:
        InputError: no such file, a damaged one, or one that does not hold what its metadata says.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise InputError(f"{path} is no file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # of types that NumPy has not, TypeError and others
        raise InputError(f"{path} cannot be read as safetensors: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise InputError(
            f"{path} was not written by ppcn-jax convert: its metadata has the format "
            f"{metadata.get('format')!r}, not {_FORMAT!r}"
        )
    try:
        module = make_network(metadata["network"], json.loads(metadata["settings"]))
        abstract_params(module)  # raises for what the network cannot be
        preset, params = metadata["preset"], unflatten_dict(arrays, sep="/")
    except Exception as error:  # also names that are both an array and a group
        raise InputError(f"{path} has damaged metadata: {error}") from error
    checked = check_params(module, params, path)
    about = {name: text for name, text in metadata.items() if name not in _NEEDED}
    return Model(metadata["network"], preset, module, checked, str(path), about)
