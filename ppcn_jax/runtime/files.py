"""Write files that are complete or absent: under a temporary name, then renamed."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from ppcn_jax.runtime.errors import InputError


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file, and its folder if needed, so that it is never partial, even after a crash."""
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`, which replaces it when the context ends without error.

    The folder is created if needed.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as indented JSON; NaN and infinities raise a ValueError."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def make_output_folder(folder: pathlib.Path) -> None:
    """Create the folder that `--output` names; raises InputError if it cannot be written to."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {folder} cannot be created: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--output {folder}: no permission to write there")
