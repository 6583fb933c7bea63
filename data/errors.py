"""Errors for unusable data, also of several processes, and imports of optional packages.

Imports nothing of `data`.
"""

import dataclasses
import importlib
import importlib.util
import itertools
import json
import pathlib
import types
from collections.abc import Callable, Mapping, Sequence

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


def raise_together(errors: Sequence[DataError], total: int, *, count: int | None = None) -> None:
    """Raise one error for all unusable records, so that they are not found one by one.

    Args:
      errors: one for each unusable record; none raises nothing.
      total: number of records.
      count: number of unusable records, if `errors` are only the first ones.

    Raises:
      DataError: the only error, or their number and the first five.
    """
    count = len(errors) if count is None else count
    if count == 1:
        raise errors[0]
    if errors:
        first = "; the first five" if count > _NAMED else ""
        raise DataError(
            f"{count} of {total} records cannot be used{first}:\n"
            + "\n".join(f"- {error}" for error in errors[:_NAMED])
        )


def _alone(text: str) -> list[str]:
    return [text]


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of the records that this process checks; every process of a run checks another.

    Attributes:
      index: index of this process.
      count: number of processes.
      exchange: gives a text to all processes, and returns those of all by index. All processes must
        call it equally often.
    """

    index: int = 0
    count: int = 1
    exchange: Callable[[str], list[str]] = _alone

    def indices(self, total: int) -> range:
        """Indices of the records that this process checks."""
        return range(self.index, total, self.count)

    def raise_together(self, errors: Mapping[int, DataError], total: int) -> None:
        """Raise the same `DataError` in all processes; see the function of this name.

        Args:
          errors: those that this process has found, by the index of the record.
          total: number of records of all processes.
        """
        own = [(index, errors[index]) for index in sorted(errors)]
        if self.count == 1:
            raise_together([error for _, error in own], total)
            return
        first = [(index, str(error)) for index, error in own[:_NAMED]]
        reports = [json.loads(text) for text in self.exchange(json.dumps([len(own), first]))]
        named = sorted(itertools.chain.from_iterable(first for _, first in reports))
        errors_of_all = [DataError(text) for _, text in named]
        raise_together(errors_of_all, total, count=sum(count for count, _ in reports))


ALONE = Share()


def _missing(module: str, extra: str) -> MissingExtraError:
    advice = f"run pip install '.[{extra}]' in a clone of the repository"
    if module == "tensorflow":
        advice += ", or set in_memory=True, which does not need TensorFlow"
    return MissingExtraError(f"{module} or a package that it needs is not installed; {advice}")
