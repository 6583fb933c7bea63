"""The networks that map images to images, by the names that configurations and files use."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ppcn_jax import models
from ppcn_jax.configuration.fields import whole
from ppcn_jax.models.layers import Params
from ppcn_jax.runtime.errors import InputError

NETWORKS: dict[str, type[nn.Module]] = {
    "student": models.Student,
    "teacher": models.Teacher,
    "dped_resnet": models.DpedResnet,
    "srcnn": models.Srcnn,
    "super_resolver": models.SuperResolver,
    "vdsr": models.Vdsr,
}
# What each is for; SRCNN is used for both.
ENHANCERS = ("student", "teacher", "dped_resnet", "srcnn")
SUPER_RESOLVERS = ("super_resolver", "vdsr", "srcnn")
# Attributes of a module that say nothing about its parameters.
_NOT_SETTINGS = {"dtype", "parent", "name"}
# Files name settings: no network of ours is that large, and a larger one takes hours to trace.
_SETTING = whole(1, 256)


@dataclasses.dataclass(frozen=True)
class Model:
    """A network with its parameters.

    Attributes:
        name: of the network, a key of `NETWORKS`.
        preset: "paper" or "released", how it was trained.
        module: the network.
        params: its parameters, float32 NumPy arrays.
        source: where they came from, for messages and tables.
        about: what else is known of them, as texts: data, steps, seed, scores, license...
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

    def check_use(self, names: Collection[str], use: str) -> None:
        """Refuse a network that is for something else.

        Args:
            names: of the networks that will do.
            use: what for, e.g. "enhance".

        Raises:
            InputError: says what it is and what is needed.
        """
        if self.name not in names:
            raise InputError(
                f"{self.source} holds a {self.name}; to {use}, name one of {', '.join(names)}"
            )


def check_params(module: nn.Module, params: Params, source: object) -> Params:
    """Parameters read from a file, when they are those of a network.

    Args:
        module: of a class in `NETWORKS`.
        params: nested dictionaries of arrays.
        source: the file, for errors.

    Returns:
        The same as float32.

    Raises:
        InputError: names a parameter that is missing, foreign, of another shape or not finite.
    """
    wanted = flatten_dict(abstract_params(module), sep="/")
    found = flatten_dict(params, sep="/")
    for name in sorted(wanted.keys() ^ found.keys()):
        problem = "is missing" if name in wanted else f"is not of a {type(module).__name__}"
        raise InputError(f"{source}: {name} {problem}")
    checked = {}
    for name, like in wanted.items():
        if found[name].shape != like.shape:
            raise InputError(
                f"{source}: {name} has shape {found[name].shape}, expected {like.shape}"
            )
        checked[name] = np.ascontiguousarray(found[name], np.float32)
        if not np.isfinite(checked[name]).all():
            raise InputError(f"{source}: {name} has values that are not finite")
    return unflatten_dict(checked, sep="/")


def make_network(name: str, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A network by its name.

    Args:
        name: a key of `NETWORKS`.
        settings: attributes of the module that differ from its defaults.

    Returns:
        The module.

    Raises:
        InputError: an unknown name, or a setting that is unknown or out of range.
    """
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    settings = settings or {}
    unknown = settings.keys() - _setting_names(NETWORKS[name])
    if unknown:
        raise InputError(f"the network {name} has no setting {', '.join(sorted(unknown))}")
    for setting, value in settings.items():
        if problem := _SETTING(value):
            raise InputError(f"the network {name} has {setting} {value!r}; {problem}")
    return NETWORKS[name](**settings)


def settings_of(module: nn.Module) -> dict[str, Any]:
    """What `make_network` needs besides the name to make a module like this one.

    Args:
        module: of a class in `NETWORKS`.

    Returns:
        Its attributes without the compute type.
    """
    return {name: getattr(module, name) for name in sorted(_setting_names(type(module)))}


def abstract_params(module: nn.Module) -> Params:
    """Shapes and types of a network's parameters, without computing any.

    Args:
        module: of a class in `NETWORKS`.

    Returns:
        Its parameters as `jax.ShapeDtypeStruct`.
    """
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    return jax.eval_shape(module.init, jax.random.key(0), images)["params"]


def _setting_names(network: type[nn.Module]) -> set[str]:
    return {field.name for field in dataclasses.fields(network)} - _NOT_SETTINGS
