"""The networks that map images to images, by the names that configurations and files use."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ppcn_jax import models
from ppcn_jax.errors import InputError
from ppcn_jax.state import Params

NETWORKS: dict[str, type[nn.Module]] = {
    "student": models.Student,
    "teacher": models.Teacher,
    "dped_resnet": models.DpedResnet,
    "srcnn": models.Srcnn,
    "super_resolver": models.SuperResolver,
    "vdsr": models.Vdsr,
}
# Attributes of a module that say nothing about its parameters.
_NOT_SETTINGS = {"dtype", "parent", "name"}


def make_network(name: str, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A network by its name.

    Args:
        name: a key of `NETWORKS`.
        settings: attributes of the module that differ from its defaults.

    Returns:
        The module.

    Raises:
        InputError: an unknown name or setting.
    """
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    settings = settings or {}
    unknown = settings.keys() - _setting_names(NETWORKS[name])
    if unknown:
        raise InputError(f"the network {name} has no setting {', '.join(sorted(unknown))}")
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
