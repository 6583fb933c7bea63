"""Turn any trained network into one native weights file."""

import dataclasses
import os
from collections.abc import Mapping

from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model
from ppcn_jax.weights.safetensors_file import check_name, write_native


def convert(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    about: Mapping[str, str] | None = None,
) -> Model:
    """Read a network and write its native file.

    Args:
        source: a released TensorFlow checkpoint, a training workdir, or a native file.
        destination: the file, `*.safetensors`; one that exists is replaced.
        about: texts for its metadata, besides what the source tells; an empty one removes.

    Returns:
        The model that was written.

    Raises:
        InputError: a source that cannot be used, a destination of another suffix, or a name in
            `about` that the format needs for itself. Nothing is written then.
        OSError: the file cannot be written.
    """
    check_name(destination)
    model = load_model(source)
    told = {**model.about, **(about or {})}
    kept = {name: text for name, text in told.items() if text}
    model = dataclasses.replace(model, about=kept)
    write_native(destination, model)
    return model
