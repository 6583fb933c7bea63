"""The image-to-image networks by name, and a network together with its parameters."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ppcn_jax import models
from ppcn_jax.models.definitions import PADDINGS, Params
from ppcn_jax.runtime.errors import InputError


class Network(NamedTuple):
    """A network and its purposes.

    Attributes:
        module: maps float images `[N, H, W, 3]` in [0, 1] to images of the same size.
        enhances: whether `enhance` takes it.
        enlarges: whether `upscale` takes it, for images after bicubic enlargement.
        trains_as_enhancer: whether it may be `config.model` of configs/teacher.py.
    """

    module: type[nn.Module]
    enhances: bool = False
    enlarges: bool = False
    trains_as_enhancer: bool = False


NETWORKS = {
    "student": Network(models.Student, enhances=True, trains_as_enhancer=True),
    "teacher": Network(models.Teacher, enhances=True, trains_as_enhancer=True),
    "dped_resnet": Network(models.DpedResnet, enhances=True),
    "super_resolver": Network(models.SuperResolver, enlarges=True),
    "vdsr": Network(models.Vdsr, enlarges=True),
    "srcnn": Network(models.Srcnn, enhances=True, enlarges=True),
}
ENHANCERS = tuple(name for name, network in NETWORKS.items() if network.enhances)
SUPER_RESOLVERS = tuple(name for name, network in NETWORKS.items() if network.enlarges)
TRAINED_AS_ENHANCERS = tuple(n for n, network in NETWORKS.items() if network.trains_as_enhancer)
# Fields of every Flax module, and the precision: they do not affect the parameters.
_NOT_SETTINGS = {"precision", "parent", "name"}
# Upper bound for settings read from files, so that a malicious file cannot request a network that
# takes hours to trace.
_LARGEST_SETTING = 256


@dataclasses.dataclass(frozen=True)
class Model:
    """A network with its parameters.

    Attributes:
        name: key of `NETWORKS`.
        preset: how the network was trained, "paper" or "released".
        module: the network.
        params: float32 NumPy arrays.
        source: where the parameters come from, for messages and tables.
        about: further metadata as text: data, steps, seed, scores, license...
    """

    name: str
    preset: str
    module: nn.Module
    params: Params
    source: str
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    @property
    def origin(self) -> str:
        """`source` without its folders, for files that are passed on to other people."""
        return without_folders(self.source)

    def check_use(self, names: Collection[str], use: str) -> None:
        """Raise InputError unless the network is one of `names`; `use` is a verb: "enhance"."""
        if self.name not in names:
            raise InputError(
                f"{self.source} holds a {self.name}; to {use}, name one of {', '.join(names)}"
            )


def without_folders(source: str) -> str:
    """The last part of a path, or of a source that begins with one: "mine (step 4000)"."""
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1]


def check_params(module: nn.Module, params: Params, source: object) -> Params:
    """Check parameters read from the file `source` and convert them to float32.

    Raises:
        InputError: a parameter is missing, unexpected, of the wrong shape or not finite.
    """
    expected = flatten_dict(abstract_params(module), sep="/")
    found = flatten_dict(params, sep="/")
    for name in sorted(expected.keys() ^ found.keys()):
        problem = "is missing" if name in expected else f"is not part of a {type(module).__name__}"
        raise InputError(f"{source}: {name} {problem}")
    checked = {}
    for name, like in expected.items():
        if found[name].shape != like.shape:
            raise InputError(
                f"{source}: {name} has shape {found[name].shape}, expected {like.shape}"
            )
        checked[name] = np.ascontiguousarray(found[name], np.float32)
        if not np.isfinite(checked[name]).all():
            raise InputError(f"{source}: {name} has values that are not finite")
    return unflatten_dict(checked, sep="/")


def make_network(name: str, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """Create a network by name; `settings` are the attributes that differ from its defaults.

    Raises:
        InputError: an unknown name, or a setting that is unknown or out of range.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}; available: {', '.join(NETWORKS)}")
    settings = settings or {}
    unknown = settings.keys() - _setting_names(NETWORKS[name].module)
    if unknown:
        raise InputError(f"the network {name} has no setting {', '.join(sorted(unknown))}")
    for setting, value in settings.items():
        if setting == "padding":
            if value not in PADDINGS:
                raise InputError(
                    f"the network {name} has padding {value!r}; it must be {' or '.join(PADDINGS)}"
                )
        elif type(value) is not int or not 1 <= value <= _LARGEST_SETTING:
            raise InputError(
                f"the network {name} has {setting} {value!r}; it must be a whole number from 1 to "
                f"{_LARGEST_SETTING}"
            )
    return NETWORKS[name].module(**settings)


def settings_of(module: nn.Module) -> dict[str, Any]:
    """The settings with which `make_network` creates an equal module."""
    return {name: getattr(module, name) for name in sorted(_setting_names(type(module)))}


def abstract_params(module: nn.Module) -> Params:
    """Shapes and types of a network's parameters as `jax.ShapeDtypeStruct`, computing nothing."""
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    return jax.eval_shape(module.init, jax.random.key(0), images)["params"]


def _setting_names(network: type[nn.Module]) -> set[str]:
    return {field.name for field in dataclasses.fields(network)} - _NOT_SETTINGS
