"""Files that are whole or absent: written beside their name, then renamed."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file so that a reader, or a crash, never meets half of it.

    Args:
        path: the file; its folder is made if need be.
        content: all of it.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A name beside a file: what is written there takes the file's place if nothing raises.

    Args:
        path: the file; its folder is made if need be.

    Yields:
        The name to write to.

    Raises:
        OSError: it cannot be written.
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
    """Write a value as indented JSON; NaN and infinities are refused.

    Args:
        path: the file.
        value: what `json` can represent.

    Raises:
        ValueError: a number that JSON does not have.
        OSError: it cannot be written.
    """
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
