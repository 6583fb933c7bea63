"""Imports of what only an optional extra installs."""

import importlib
import importlib.util
import pathlib
import types

from data.errors import MissingExtraError


def require(module: str, extra: str) -> types.ModuleType:
    """Import a module that belongs to an extra.

    Args:
      module: its dotted name.
      extra: the extra that installs it.

    Returns:
      The module.

    Raises:
      MissingExtraError: if it, or something it needs, is absent; names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(module, extra) from error


def check_installed(package: str, extra: str) -> None:
    """Raise `MissingExtraError` if a package is absent, without importing it."""
    if importlib.util.find_spec(package) is None:
        raise _missing(package, extra)


def package_folder(package: str, extra: str) -> pathlib.Path:
    """Where a package of an extra is installed, without importing it (arguments as `require`)."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(package, extra)
    return pathlib.Path(spec.origin).parent


def import_tensorflow() -> types.ModuleType:
    """TensorFlow, told to leave the accelerators to JAX.

    Returns:
      The `tensorflow` module.

    Raises:
      MissingExtraError: if TensorFlow is absent.
    """
    tf = require("tensorflow", "data")
    tf.config.set_visible_devices([], "GPU")
    return tf


def _missing(module: str, extra: str) -> MissingExtraError:
    return MissingExtraError(
        f"{module} or something it needs is not installed; run: pip install '.[{extra}]'"
        + (" (or set in_memory=True, which needs no TensorFlow)" * (module == "tensorflow")),
    )
