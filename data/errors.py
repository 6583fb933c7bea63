"""Errors for unusable data, and imports of optional packages.

Imports nothing of `data`.
"""

import importlib
import importlib.util
import pathlib
import types
from collections.abc import Sequence

_NAMED = 5  # of many, the first ones are named


class DataError(ValueError):
    """The data on disk cannot be used; the message names the file and what to do about it."""


class MissingExtraError(DataError, ModuleNotFoundError):
    """A package is not installed; the message says how to install it."""


def require(module: str, extra: str) -> types.ModuleType:
    """Import a module that is installed by an optional extra.

    Raises:
      MissingExtraError: if the module, or one that it imports, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(module, extra) from error


def find_package(package: str, extra: str) -> pathlib.Path:
    """The folder of a package, found without importing it; raises `MissingExtraError`."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(package, extra)
    return pathlib.Path(spec.origin).parent


def import_tensorflow() -> types.ModuleType:
    """Import TensorFlow and hide the GPUs from it, which JAX needs; raises `MissingExtraError`."""
    tf = require("tensorflow", "data")
    tf.config.set_visible_devices([], "GPU")
    return tf


def plural(count: int, noun: str) -> str:
    """The count with its noun, for messages: "1 pair", "2 pairs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def first_of(names: Sequence[str]) -> str:
    """The first five names, for messages: "1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg and 495 others"."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {plural(more, 'other')}" if more > 0 else "")


def raise_together(errors: Sequence[DataError], total: int) -> None:
    """Raise one error for all unusable records, so that they are not found one by one.

    Args:
      errors: one for each unusable record; none raises nothing.
      total: number of records.

    Raises:
      DataError: the only error, or their number and the first five.
    """
    if len(errors) == 1:
        raise errors[0]
    if errors:
        first = "; the first five" if len(errors) > _NAMED else ""
        raise DataError(
            f"{len(errors)} of {total} records cannot be used{first}:\n"
            + "\n".join(f"- {error}" for error in errors[:_NAMED])
        )


def _missing(module: str, extra: str) -> MissingExtraError:
    advice = f"run pip install '.[{extra}]' in a clone of the repository"
    if module == "tensorflow":
        advice += ", or set in_memory=True, which does not need TensorFlow"
    return MissingExtraError(f"{module} or a package that it needs is not installed; {advice}")
