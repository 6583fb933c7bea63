"""The image-to-image networks by name, and a network together with its parameters."""

import dataclasses
import functools
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppcn_jax import models
from ppcn_jax.models.definitions import PADDINGS, Params
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.trees import flatten, unflatten

if TYPE_CHECKING:
    import flax.linen as nn

Settings = Mapping[str, Any]


class Network(NamedTuple):
    """A network and its purposes.

    Attributes:
        module: name of a class in `models`, which maps float images `[N, H, W, 3]` in [0, 1] to
            images of the same size.
        settings: attributes of the class that the parameters depend on, with their defaults.
        enhances: whether `enhance` takes it.
        enlarges: whether `upscale` takes it, for images after bicubic enlargement.
        trains_as_enhancer: whether it may be `config.model` of configs/teacher.py.
    """

    module: str
    settings: Settings
    enhances: bool = False
    enlarges: bool = False
    trains_as_enhancer: bool = False


# The classes are named, not imported: OpenVINO runs networks without JAX and Flax.
NETWORKS = {
    "student": Network("Student", {"padding": "zeros"}, enhances=True, trains_as_enhancer=True),
    "teacher": Network("Teacher", {"padding": "zeros"}, enhances=True, trains_as_enhancer=True),
    "dped_resnet": Network("DpedResnet", {"blocks": 4, "features": 64}, enhances=True),
    "super_resolver": Network("SuperResolver", {"scale": 4}, enlarges=True),
    "vdsr": Network("Vdsr", {}, enlarges=True),
    "srcnn": Network("Srcnn", {}, enhances=True, enlarges=True),
}
ENHANCERS = tuple(name for name, network in NETWORKS.items() if network.enhances)
SUPER_RESOLVERS = tuple(name for name, network in NETWORKS.items() if network.enlarges)
TRAINED_AS_ENHANCERS = tuple(n for n, network in NETWORKS.items() if network.trains_as_enhancer)
# Upper bound for settings read from files, so that a malicious file cannot request a network that
# takes hours to trace.
_LARGEST_SETTING = 256


@dataclasses.dataclass(frozen=True)
class Model:
    """A network with its parameters.

    Attributes:
        name: key of `NETWORKS`.
        preset: how the network was trained, "paper" or "released".
        settings: of the network; those that are not given get its defaults.
        params: float32 NumPy arrays.
        source: where the parameters come from, for messages and tables.
        about: further metadata as text: data, steps, seed, scores, license...
    """

    name: str
    preset: str
    settings: Settings
    params: Params
    source: str
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", complete_settings(self.name, self.settings))

    @functools.cached_property
    def module(self) -> "nn.Module":
        """The network in Flax."""
        return make_network(self.name, self.settings)

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(leaf.size for leaf in flatten(self.params).values())

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


def check_params(module: "nn.Module", params: Params, source: object) -> Params:
    """Check parameters read from the file `source` and convert them to float32.

    Raises:
        InputError: a parameter is missing, unexpected, of the wrong shape or not finite.
    """
    expected = flatten(abstract_params(module))
    found = flatten(params)
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
    return unflatten(checked)


def complete_settings(name: str, settings: Settings | None = None) -> Settings:
    """All settings of a network, given those that differ from its defaults.

    Raises:
        InputError: an unknown network, or a setting that is unknown or out of range.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}; available: {', '.join(NETWORKS)}")
    settings = settings or {}
    defaults = NETWORKS[name].settings
    if unknown := settings.keys() - defaults.keys():
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
    return {**defaults, **settings}


def make_network(name: str, settings: Settings | None = None) -> "nn.Module":
    """Create a network by name; `settings` are the attributes that differ from its defaults.

    Raises:
        InputError: see `complete_settings`.
    """
    complete = complete_settings(name, settings)
    return getattr(models, NETWORKS[name].module)(**complete)


def identify(module: "nn.Module") -> tuple[str, Settings]:
    """The name and all settings of a network of `make_network`, also if it computes in int8.

    Raises:
        ValueError: it is not one of `NETWORKS`.
    """
    from ppcn_jax.models.int8 import in_float32

    module = in_float32(module)
    for name, network in NETWORKS.items():
        if type(module) is getattr(models, network.module):
            return name, {setting: getattr(module, setting) for setting in network.settings}
    raise ValueError(f"{type(module).__name__} is not a network of weights/model.py")


def abstract_params(module: "nn.Module") -> Params:
    """Shapes and types of a network's parameters as `jax.ShapeDtypeStruct`, computing nothing."""
    import jax  # here, since parameters that come with the package are not checked

    images = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)
    return jax.eval_shape(module.init, jax.random.key(0), images)["params"]
