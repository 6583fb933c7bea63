"""Paths on local disks and in buckets of Google Cloud Storage, `gs://BUCKET/...`.

`to_path` is the only place where a text becomes either kind of path. Local ones are `pathlib.Path`;
those in buckets are etils' `epath.Path`, which has the same methods as far as they are used here.
Buckets have neither folders nor atomic renames nor appended files, but a written object replaces
the one before at once.
"""

import contextlib
import importlib.util
import logging
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import cast

from ppcn_jax.runtime.errors import InputError, install_hint

BUCKETS = "gs://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

# etils would prefer TensorFlow's reader, and import TensorFlow for a checkpoint.
os.environ.setdefault("EPATH_USE_TF", "false")


class BucketError(ConnectionError):
    """A bucket cannot be accessed; the libraries have tried several times."""


def to_path(path: str | os.PathLike, field: str = "") -> pathlib.Path:
    """Return the path that a text names, on a local disk or in a bucket.

    Args:
        path: a local path, or `gs://BUCKET/...`.
        field: the flag or the field that names it, for messages.

    Raises:
        InputError: an unknown scheme, no bucket, or the packages for buckets are not installed.
    """
    if isinstance(path, pathlib.PurePath) and is_remote(path):
        return cast(pathlib.Path, path)
    text = os.fspath(path)
    scheme = _SCHEME.match(text)
    named = f"{field} {text}".strip()
    if scheme is None:
        if text.startswith("gs:/"):  # pathlib.Path("gs://...") has lost a slash
            raise InputError(f"{named} names no bucket; write gs://BUCKET/..., as a text")
        return pathlib.Path(text)
    if scheme[0] != BUCKETS:
        raise InputError(f"{named}: {scheme[0]} is not supported; name a local path, or gs://...")
    if not text.removeprefix(BUCKETS).partition("/")[0]:
        raise InputError(f"{named} names no bucket; write gs://BUCKET/...")
    if set(text) & set("*?[]"):  # Orbax lists what matches; it would save what cannot be read
        raise InputError(f"{named}: names in buckets must not contain any of * ? [ ]")
    if importlib.util.find_spec("gcsfs") is None:
        raise InputError(f"{named}: buckets need further packages: {install_hint('gcs')}")
    import fsspec.config
    from etils import epath

    # Other processes, and Orbax's C++ code, write what a cached listing would not show.
    fsspec.config.conf.setdefault("gcs", {}).setdefault("use_listings_cache", False)
    # It would log every failed attempt with its stack; the last one raises.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    return cast(pathlib.Path, epath.Path(text))


def is_remote(path: str | os.PathLike) -> bool:
    """Return True for a path in a bucket."""
    return os.fspath(path).startswith(BUCKETS)


def refuse_remote(path: str | os.PathLike, field: str, reason: str) -> None:
    """Raise InputError if a path has a scheme; `reason` says what to do instead."""
    if _SCHEME.match(os.fspath(path)):
        raise InputError(f"{field} {path} is not on a local disk: {reason}")


def bucket_and_name(path: pathlib.Path) -> tuple[str, str]:
    """The bucket of a remote path, and the name of the object in it, "" for the bucket itself."""
    bucket, _, name = os.fspath(path).removeprefix(BUCKETS).partition("/")
    return bucket, name


def make_folder(path: pathlib.Path) -> None:
    """Create a folder and those above it, if it does not exist; buckets need none."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def objects_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """The objects below a folder in a bucket, sorted by name, in one listing; raises `OSError`."""
    import fsspec

    with bucket_errors(folder):
        names = fsspec.url_to_fs(os.fspath(folder))[0].find(os.fspath(folder))
    return [to_path(f"{BUCKETS}{name}") for name in sorted(names)]


@contextlib.contextmanager
def bucket_errors(path: pathlib.Path) -> Iterator[None]:
    """A context in which errors of access to a bucket are `OSError`, as those of local files are."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if not is_remote(path) or isinstance(error, BucketError):
            raise
        # The libraries have types of their own, for example when credentials are missing.
        line = " ".join(str(error).split())
        raise BucketError(f"{path}: {type(error).__name__}: {line}") from error


def check_reachable(path: pathlib.Path, field: str) -> None:
    """Raise InputError, with the reason, if a path in a bucket cannot be accessed.

    What it names need not exist, but its bucket must.
    """
    bucket = to_path(f"{BUCKETS}{bucket_and_name(path)[0]}")
    try:
        with bucket_errors(path):
            if not bucket.exists():
                raise InputError(f"{field} {path}: there is no bucket {bucket}, or no access to it")
    except OSError as error:
        raise InputError(f"{field} {path} cannot be accessed: {error}") from error


@contextlib.contextmanager
def local_copy(path: pathlib.Path, *others: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a local file with the content of `path`: itself, or a temporary copy from a bucket.

    Copies of `others`, for example the further files of a checkpoint, lie in the same folder.
    Messages of errors in this context name the path in the bucket, not the copy.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-") as folder:
        for remote in (path, *others):
            with bucket_errors(remote):
                (pathlib.Path(folder) / remote.name).write_bytes(remote.read_bytes())
        try:
            yield pathlib.Path(folder) / path.name
        except Exception as error:
            error.args = tuple(
                text.replace(folder, os.fspath(path.parent)) if isinstance(text, str) else text
                for text in error.args
            )
            raise
