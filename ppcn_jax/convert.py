"""Turn any trained network into one native weights file."""

import os

from ppcn_jax.model_files import load_model
from ppcn_jax.native import check_name, write_native
from ppcn_jax.networks import Model


def convert(source: str | os.PathLike, destination: str | os.PathLike) -> Model:
    """Read a network and write its native file.

    Args:
        source: a released TensorFlow checkpoint, a training workdir, or a native file.
        destination: the file, `*.safetensors`; one that exists is replaced.

    Returns:
        The model that was written.

    Raises:
        InputError: a source that cannot be used, or a destination of another suffix. Nothing is
            written then.
        OSError: the file cannot be written.
    """
    check_name(destination)
    model = load_model(source)
    write_native(destination, model)
    return model
