"""Released weights: TensorFlow 1 checkpoints, read with TensorFlow.

The network is recognized by the names and shapes of the variables in one scope, whose name varies
between releases. Optimizer slots and variables outside of a scope are ignored.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Mapping

import numpy as np

from ppcn_jax.runtime.errors import InputError, install_hint
from ppcn_jax.runtime.quiet import quiet_libraries
from ppcn_jax.runtime.storage import local_copy, to_path
from ppcn_jax.weights.model import Model, abstract_params, check_params, make_network
from ppcn_jax.weights.trees import flatten, unflatten

Shapes = Mapping[str, tuple[int, ...]]

# The last bytes of the index of a checkpoint, and of the older format's single file.
_TABLE_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_OPTIMIZER = re.compile(r"/Adam(_\d+)?$")


def find_checkpoint(path: str | os.PathLike) -> pathlib.Path | None:
    """The prefix of a TensorFlow checkpoint, or None if there is none.

    `path` is the prefix, one of the checkpoint's files, or a file of the older one-file format.
    """
    path = to_path(path)
    prefix = path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name))
    if prefix.with_name(f"{prefix.name}.index").is_file():
        return prefix
    if path.is_file():
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - len(_TABLE_MAGIC), 0))
            if file.read() == _TABLE_MAGIC:
                return path
    return None


def read_released(prefix: str | os.PathLike) -> Model:
    """Read the checkpoint with a prefix from `find_checkpoint`; the preset becomes "released".

    Raises:
        InputError: TensorFlow is not installed, the checkpoint is damaged, or it holds no known
            network, several, or one with a missing or misshapen variable.
    """
    prefix = to_path(prefix)
    index = prefix.with_name(f"{prefix.name}.index")
    files = [index, *prefix.parent.glob(f"{prefix.name}.data-*")] if index.is_file() else [prefix]
    with local_copy(*files) as first:
        return _read(first.with_name(prefix.name))


def _read(prefix: pathlib.Path) -> Model:
    """`read_released` of local files."""
    try:
        with quiet_libraries():
            from tensorflow import train
    except ImportError as error:
        raise InputError(
            f"{prefix} is a TensorFlow checkpoint; reading it needs TensorFlow: "
            f"{install_hint('data')} (`ppcn-jax convert` then writes a file that needs none)"
        ) from error
    try:
        with quiet_libraries():
            reader = train.load_checkpoint(os.fspath(prefix))
        shapes = {name: tuple(s) for name, s in reader.get_variable_to_shape_map().items()}
    except Exception as error:  # TensorFlow's own types, RuntimeError, IndexError, ...
        raise InputError(f"{prefix} is not a readable checkpoint: {error}") from error
    scope, layout = _recognize(prefix, shapes)
    try:
        module = make_network(layout.network, layout.settings)
    except InputError as error:
        raise InputError(f"{prefix}: {error}") from error
    params = {}
    for parameter, like in flatten(abstract_params(module)).items():
        variable = f"{scope}{layout.variables[parameter]}"
        # The last bias of a released SRCNN is one value for all channels.
        shared_bias = layout.network == "srcnn" and shapes[variable] == (1,)
        if shapes[variable] != like.shape and not shared_bias:
            raise InputError(
                f"{prefix}: {variable} has shape {list(shapes[variable])}, expected "
                f"{list(like.shape)} in this {layout.network}"
            )
        try:
            params[parameter] = np.broadcast_to(reader.get_tensor(variable), like.shape)
        except Exception as error:
            raise InputError(f"{prefix}: {variable} cannot be read: {error}") from error
    checked = check_params(module, unflatten(params), prefix)
    return Model(layout.network, "released", layout.settings, checked, prefix.name)


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How the variables of one network are named in a checkpoint.

    Attributes:
        network: key of `NETWORKS`.
        variables: our parameter ("conv0/kernel") -> their variable, without its scope.
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
    # A layout is recognized by most of its variables; then all of them must be there.
    matches = [
        (scope, layout, present)
        for scope, present in scopes.items()
        for layout in _layouts(present)
        if _overlap(layout, present) > 0.8
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
    scope, layout, present = max(matches, key=lambda match: _overlap(match[1], match[2]))
    for variable in sorted(present.keys() ^ set(layout.variables.values())):
        problem = "not part of" if variable in present else "missing from"
        raise InputError(f"{prefix}: {scope}{variable} is {problem} this {layout.network}")
    return scope, layout


def _overlap(layout: _Layout, present: Shapes) -> float:
    """Share of names that a layout and a scope have in common, 1 if they are equal."""
    expected = set(layout.variables.values())
    return len(expected & present.keys()) / len(expected | present.keys())


def _layouts(present: Shapes) -> Iterator[_Layout]:
    """Every known network, with the settings that the shapes in a scope suggest."""
    yield _Layout("student", _numbered(range(5), first=0) | _norms((2, 3)))
    yield _Layout("teacher", _numbered(range(8), first=0) | _norms((2, 3, 4, 5)))
    for blocks in (2, 4):
        convolutions, normalized = range(2 * blocks + 4), range(1, 2 * blocks + 1)
        names = _numbered(convolutions, first=1) | _norms(normalized)
        features = (present.get("W1") or (64,))[-1]
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
    # Unnamed variables are numbered in order of creation, and the shift was created first.
    parameters = [f"norm{i}/{kind}" for i in convolutions for kind in ("shift", "scale")]
    return {p: f"Variable_{n}" if n else "Variable" for n, p in enumerate(parameters)}


def _vdsr() -> dict[str, str]:
    numbers = [*range(19), 20]  # 19 is not used
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
