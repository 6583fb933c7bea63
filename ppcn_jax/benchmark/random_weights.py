"""Networks with random parameters, for those who have no weights: as fast as trained ones."""

import pathlib
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from ppcn_jax.models import Vgg
from ppcn_jax.models.layers import Params
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, abstract_params, make_network


def models_by_name(names: Sequence[str], files: str) -> dict[str, Model]:
    """Networks, from files where there are any.

    Args:
        names: of the networks.
        files: what `load_model` reads, separated by commas.

    Returns:
        By the names; random where no file has the network.

    Raises:
        InputError: a file that cannot be read.
    """
    given = [load_model(path.strip()) for path in files.split(",") if path.strip()]
    by_name = {model.name: model for model in given}
    return {name: by_name.get(name) or random_model(name) for name in names}


def random_model(name: str) -> Model:
    """A network with random parameters, the same at every call.

    They are far from a training's initial ones, which make every image gray: no difference between
    two libraries would be seen.

    Args:
        name: of the network.

    Returns:
        The model.
    """
    module = make_network(name)
    return Model(name, "paper", module, _draw(abstract_params(module)), "random parameters")


def write_random_vgg(path: pathlib.Path) -> None:
    """Write VGG-19 with random parameters, in the form that `load_vgg` reads.

    Args:
        path: the file, `*.npz`.
    """
    module: nn.Module = Vgg(19)
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
    params = _draw({name: shape for name, shape in shapes.items() if name.startswith("conv")})
    np.savez(path, **flatten_dict(params, sep="/"))


def _draw(shapes: Params) -> Params:
    rng = np.random.default_rng(0)

    def draw(path, like) -> np.ndarray:
        values = rng.standard_normal(like.shape, np.float32)
        if path[-1].key == "kernel":
            return values / np.sqrt(np.prod(like.shape[:-1]), dtype=np.float32)
        return (path[-1].key == "scale") + np.float32(0.1) * values

    return jax.tree_util.tree_map_with_path(draw, shapes)
