"""Networks with random parameters, to measure speed without trained weights."""

import pathlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from ppcn_jax.models import Vgg
from ppcn_jax.models.definitions import Params
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, abstract_params, make_network
from ppcn_jax.weights.safetensors_file import write_native
from ppcn_jax.weights.vgg import load_vgg


def models_by_name(names: Sequence[str], files: str) -> dict[str, Model]:
    """Load the networks from a comma-separated list of files; those in no file are random.

    Raises:
        InputError: a file cannot be read.
    """
    models = [load_model(path.strip()) for path in files.split(",") if path.strip()]
    loaded = {model.name: model for model in models}
    return {name: loaded.get(name) or random_model(name) for name in names}


def with_random_networks(config: ConfigDict, folder: pathlib.Path) -> ConfigDict:
    """A copy of a configuration of the student, with random networks in place of empty file names.

    They are written to `folder`.

    Raises:
        InputError: VGG or the teacher is named and cannot be read.
    """
    config = config.copy_and_resolve_references()
    if config.vgg.weights:
        load_vgg(config.vgg.weights)
    else:
        config.vgg.weights = str(folder / "vgg.npz")
        np.savez(config.vgg.weights, **flatten_dict(_random_vgg(), sep="/"))
    if config.teacher:
        load_model(config.teacher)
    elif config.objective.attention.weight or config.imitation:
        config.teacher = str(folder / "teacher.safetensors")
        write_native(config.teacher, random_model("teacher"))
    return config


def random_model(name: str) -> Model:
    """A network with random parameters, the same at every call.

    They are larger than the initial ones of a training run, which make every image gray: with
    those, no difference between two libraries would show.
    """
    params = _draw(abstract_params(make_network(name)))
    return Model(name, "paper", {}, params, "random parameters")


def _random_vgg() -> Params:
    module: nn.Module = Vgg(19)
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
    return _draw({name: shape for name, shape in shapes.items() if name.startswith("conv")})


def _draw(shapes: Params) -> Params:
    rng = np.random.default_rng(0)

    def draw(path: tuple[Any, ...], like: Any) -> np.ndarray:
        values = rng.standard_normal(like.shape, np.float32)
        if path[-1].key == "kernel":
            return values / np.sqrt(np.prod(like.shape[:-1]), dtype=np.float32)
        return (path[-1].key == "scale") + np.float32(0.1) * values

    return jax.tree_util.tree_map_with_path(draw, shapes)
