"""Weights as their authors released them: TensorFlow 1 checkpoints, read with TensorFlow.

Which network a checkpoint holds is told by the names and shapes of its variables. They stand in
one scope, whose name varies; optimizer slots and counters beside them are ignored.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model, abstract_params, check_params, make_network

Shapes = Mapping[str, tuple[int, ...]]

# The last bytes of both generations of TensorFlow's checkpoints, and of nothing else here.
_TABLE_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_OPTIMIZER = re.compile(r"/Adam(_\d+)?$")


def find_checkpoint(path: str | os.PathLike) -> pathlib.Path | None:
    """The prefix of a TensorFlow checkpoint.

    Args:
        path: the prefix, one of its files, or a file of the older one-file form.

    Returns:
        The prefix, None if there is no checkpoint.
    """
    path = pathlib.Path(path)
    prefix = path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name))
    if prefix.with_name(f"{prefix.name}.index").is_file():
        return prefix
    if path.is_file() and path.stat().st_size > len(_TABLE_MAGIC):
        with open(path, "rb") as file:
            file.seek(-len(_TABLE_MAGIC), os.SEEK_END)
            if file.read() == _TABLE_MAGIC:
                return path
    return None


def read_released(prefix: str | os.PathLike) -> Model:
    """Read a released checkpoint.

    Args:
        prefix: as `find_checkpoint` returns.

    Returns:
        The model, parameters on the host, preset "released".

    Raises:
        InputError: TensorFlow is not installed; a damaged checkpoint; one of no known network, or
            of several; names the variable that is missing or of another shape.
    """
    try:
        from tensorflow import train
    except ImportError as error:
        raise InputError(
            f"{prefix} is a TensorFlow checkpoint; reading it needs TensorFlow: "
            "pip install '.[data]' (`ppcn-jax convert` then writes a file that needs none)"
        ) from error
    try:
        reader = train.load_checkpoint(os.fspath(prefix))
        shapes = {name: tuple(s) for name, s in reader.get_variable_to_shape_map().items()}
    except Exception as error:  # TensorFlow's own kinds, RuntimeError, IndexError, ...
        raise InputError(f"{prefix} is not a readable checkpoint: {error}") from error
    scope, layout = _recognize(prefix, shapes)
    module = make_network(layout.network, layout.settings)
    wanted = flatten_dict(abstract_params(module), sep="/")
    _check_shapes(prefix, scope, layout, shapes, wanted)
    params = {}
    for parameter, variable in layout.variables.items():
        try:
            params[parameter] = reader.get_tensor(f"{scope}{variable}")
        except Exception as error:
            raise InputError(f"{prefix}: {scope}{variable} cannot be read: {error}") from error
    for parameter, like in wanted.items():
        params[parameter] = np.broadcast_to(params[parameter], like.shape)
    checked = check_params(module, unflatten_dict(params, sep="/"), prefix)
    return Model(layout.network, "released", module, checked, pathlib.Path(prefix).name)


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How one network is named in a checkpoint.

    Attributes:
        network: a key of `NETWORKS`.
        variables: parameter of ours ("conv0/kernel") -> variable of theirs, without its scope.
        settings: of the network.
    """

    network: str
    variables: dict[str, str]
    settings: dict[str, int] = dataclasses.field(default_factory=dict)


def _recognize(prefix: object, shapes: Shapes) -> tuple[str, _Layout]:
    scopes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if not _OPTIMIZER.search(name):
            scope, slash, variable = name.partition("/")
            if slash:
                scopes.setdefault(f"{scope}/", {})[variable] = shape
    # A layout is recognized when most of its variables are there; then all of them must be.
    matches = [
        (scope, layout, present)
        for scope, present in scopes.items()
        for layout in _layouts(present)
        if _likeness(layout, present) > 0.8
    ]
    if not matches:
        raise InputError(
            f"{prefix} holds no known network; its variables are "
            f"{', '.join(sorted(shapes)[:4])}, ... ({len(shapes)} in all)"
        )
    if len({scope for scope, *_ in matches}) > 1:
        raise InputError(
            f"{prefix} holds several networks: "
            + ", ".join(f"{layout.network} in {scope}" for scope, layout, _ in matches)
        )
    scope, layout, present = max(matches, key=lambda match: _likeness(match[1], match[2]))
    for variable in sorted(present.keys() ^ set(layout.variables.values())):
        problem = "foreign to" if variable in present else "missing from"
        raise InputError(f"{prefix}: {scope}{variable} is {problem} this {layout.network}")
    return scope, layout


def _check_shapes(
    prefix: object, scope: str, layout: _Layout, shapes: Shapes, wanted: Mapping[str, Any]
) -> None:
    for parameter, like in wanted.items():
        variable = f"{scope}{layout.variables[parameter]}"
        one_for_all = layout.network == "srcnn" and shapes[variable] == (1,)  # its last bias
        if shapes[variable] != like.shape and not one_for_all:
            raise InputError(
                f"{prefix}: {variable} has shape {list(shapes[variable])}, expected "
                f"{list(like.shape)} in this {layout.network}"
            )


def _likeness(layout: _Layout, present: Shapes) -> float:
    """Share of names that a layout and a scope have in common, 1 if they are equal."""
    wanted = set(layout.variables.values())
    return len(wanted & present.keys()) / len(wanted | present.keys())


def _layouts(present: Shapes) -> Iterator[_Layout]:
    """Every network that we know, with the settings that the shapes in a scope suggest."""
    yield _Layout("student", _numbered(range(5), first=0) | _norms((2, 3)))
    yield _Layout("teacher", _numbered(range(8), first=0) | _norms((2, 3, 4, 5)))
    for blocks in (2, 4):
        convolutions, normalized = range(2 * blocks + 4), range(1, 2 * blocks + 1)
        names = _numbered(convolutions, first=1) | _norms(normalized)
        features = present.get("W1", (64,))[-1]
        yield _Layout("dped_resnet", names, {"blocks": blocks, "features": features})
    lower = _numbered(range(3), first=1)
    yield _Layout("srcnn", {ours: theirs.lower() for ours, theirs in lower.items()})
    yield _Layout("vdsr", _vdsr())
    yield _Layout("super_resolver", _super_resolver())


def _numbered(convolutions: range, *, first: int) -> dict[str, str]:
    return {
        f"conv{i}/{kind}": f"{letter}{i + first}"
        for i in convolutions
        for kind, letter in (("kernel", "W"), ("bias", "b"))
    }


def _norms(convolutions: range | tuple[int, ...]) -> dict[str, str]:
    # Unnamed variables in the order of their creation: the shift before the scale.
    parameters = [f"norm{i}/{kind}" for i in convolutions for kind in ("shift", "scale")]
    return {p: f"Variable_{n}" if n else "Variable" for n, p in enumerate(parameters)}


def _vdsr() -> dict[str, str]:
    numbers = [*range(19), 20]  # none is called 19
    return {
        f"conv{i}/{kind}": f"conv_{number:02d}_{letter}"
        for i, number in enumerate(numbers)
        for kind, letter in (("kernel", "w"), ("bias", "b"))
    }


def _super_resolver() -> dict[str, str]:
    convolutions = {
        "down0": "downsample/1",
        "down1": "downsample/2",
        "entry": "n64s1/c1",
        "merge": "n64s1/c/m",
        "refine": "conv2d",
        "pixels": "conv2d_1",
    }
    for i in (0, 1):
        convolutions[f"block{i}_transition"] = f"trans/{i + 1}"
        for j in (0, 1):
            for k in (0, 1):
                ours = f"block{i}_residual{j}_conv{k}"
                convolutions[ours] = f"res{i + 1}/{j}/conv{k + 1}"
    return {
        f"{ours}/{kind}": f"{theirs}/{kind}"
        for ours, theirs in convolutions.items()
        for kind in ("kernel", "bias")
    }
