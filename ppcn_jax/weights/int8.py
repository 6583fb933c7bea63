"""The ranges with which a network was trained for int8 (`train.quantize`), stored with it as JSON.

A workdir has them in a file, and a weights file in its metadata.
"""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from ppcn_jax.models.int8 import Ranges
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model
from ppcn_jax.weights.trees import flatten

RANGES = "int8_ranges"  # in the metadata
RANGES_FILE = f"{RANGES}.json"  # in a workdir


def ranges_to_text(ranges: Mapping[str, Ranges]) -> str:
    """JSON from which `ranges_from_text` gets the same numbers."""
    return json.dumps(
        {name: [list(map(float, ends)) for ends in each] for name, each in ranges.items()}
    )


def ranges_from_text(text: str, source: object) -> dict[str, Ranges]:
    """Ranges of numbers by the name of the layer; raises InputError that names the source."""
    try:
        ranges = {name: Ranges(*map(_ends, each)) for name, each in json.loads(text).items()}
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{source} does not hold ranges for int8: {error}") from error
    return ranges


def read_ranges(path: pathlib.Path) -> dict[str, Ranges]:
    """The ranges in a file of a workdir; raises InputError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return ranges_from_text(text, path)


def ranges_of(model: Model) -> dict[str, Ranges] | None:
    """The ranges with which a network was trained, in the order of its layers; None without any.

    Raises:
        InputError: they are not those of this network.
    """
    text = model.about.get(RANGES)
    if text is None:
        return None
    source = f"{model.source}: {RANGES} in the metadata"
    ranges = ranges_from_text(text, source)
    if unknown := {f"{name}/kernel" for name in ranges} - {*flatten(model.params)}:
        raise InputError(f"{source} names {min(unknown)}, which the network does not have")
    return ranges


def _ends(values: Any) -> tuple[float, float]:
    low, high = map(float, values)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{values} is no range")
    return low, high
