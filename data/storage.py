"""Paths on local disks and in buckets (`gs://...`), and what differs between their files.

Those in buckets are etils' `epath.Path`, which has the methods of `pathlib.Path` as far as they are
used here. Imports only `data.errors`.
"""

import os
import pathlib
from typing import cast

from data.errors import DataError


def to_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path that a text names; `~` is a home folder.

    Raises:
      DataError: if it is neither on a local disk nor in a bucket.
    """
    text = os.fspath(path)
    if "://" not in text:
        return pathlib.Path(text).expanduser()
    if not text.startswith("gs://"):
        raise DataError(f"{text} cannot be read: name a local path, or gs://...")
    from etils import epath

    return cast(pathlib.Path, epath.Path(text))


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Return True for a path in a bucket."""
    return os.fspath(path).startswith("gs://")


def refuse_remote(path: str | os.PathLike[str], what: str) -> None:
    """Raise `DataError` if a path is in a bucket and `what` can be read only from a local disk."""
    if is_remote(path):
        raise DataError(
            f"dir is {os.fspath(path)}, but {what} is read from local disks only: copy it there "
            "(gcloud storage cp -r), and set dir to the copy"
        )


def read_bytes(path: pathlib.Path) -> bytes:
    """The content of a file.

    Raises:
      ConnectionError: if its bucket cannot be accessed; then nothing is wrong with the file.
      OSError: if it cannot be read.
    """
    if not is_remote(path):
        return path.read_bytes()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except Exception as error:  # the libraries raise many types, after several attempts
        raise ConnectionError(f"{path}: {type(error).__name__}: {error}") from error


def size_and_time(path: pathlib.Path) -> tuple[int, int]:
    """The size of a file in bytes, and the time of its last change; raises `OSError`."""
    status = path.stat()
    if is_remote(path):
        return status.length, status.mtime  # type: ignore[attr-defined]
    return status.st_size, status.st_mtime_ns


def objects_below(folder: pathlib.Path) -> list[str]:
    """Names of all objects below a folder in a bucket, relative to it."""
    import fsspec

    system, root = fsspec.url_to_fs(os.fspath(folder))
    return [name.removeprefix(f"{root}/") for name in system.find(root)]
