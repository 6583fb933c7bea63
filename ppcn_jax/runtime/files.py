"""Write files that are complete or absent: under a temporary name, then renamed.

In a bucket, where an object appears when its upload is complete, they are written at once.
"""

import contextlib
import json
import os
import pathlib
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.storage import bucket_errors, is_remote, refuse_remote, to_path

WINDOWS = sys.platform == "win32"
_PATIENCE = 2.0  # seconds; virus scanners and previews keep files open for less
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
_RESERVED = re.compile(r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]", re.IGNORECASE)


def write_bytes(
    path: str | os.PathLike, content: bytes, times: tuple[int, int] | None = None
) -> None:
    """Write a file, and its folder if needed, so that it is never partial, even after a crash.

    Args:
        path: the file.
        content: of the file.
        times: of access and modification, in nanoseconds; now by default.

    Raises:
        OSError: it cannot be written, also in a bucket.
    """
    with replacing(path) as beside:
        beside.write_bytes(content)
        if times:
            os.utime(beside, ns=times)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a temporary path, whose file replaces `path` when the context ends without error.

    The temporary file is beside `path`, or on a local disk if `path` is in a bucket. The folder is
    created if needed.
    """
    path = to_path(path)
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="ppcn-jax-") as folder:
            local = pathlib.Path(folder) / path.name
            yield local
            with bucket_errors(path):
                path.write_bytes(local.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short, since the name of the file may be as long as the file system allows.
    beside = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        yield beside
        _rename(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _rename(source: pathlib.Path, path: pathlib.Path) -> None:
    """Replace a file by another one; on Windows, wait a little for those that have it open."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            source.replace(path)
            return
        except PermissionError:
            if not WINDOWS or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as indented JSON; NaN and infinities raise a ValueError."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def check_file_name(path: str | os.PathLike, field: str) -> None:
    """Raise InputError if Windows, on which this runs, refuses a name in a path or changes it.

    Args:
        path: a path that is to be written.
        field: the flag that names it, for the message.
    """
    if not WINDOWS or is_remote(path):
        return
    windows = pathlib.PureWindowsPath(path)
    for name in windows.parts[bool(windows.anchor) :]:
        if name == "..":
            continue
        reserved = _RESERVED.fullmatch(name.partition(".")[0].rstrip(" "))
        if reserved or _FORBIDDEN.search(name) or name.endswith((" ", ".")):
            raise InputError(
                f"{field} {path}: Windows does not allow the name {printable(name)!r}: names must "
                'not contain any of < > : " | ? * or end with a dot or a space, and CON, PRN, AUX, '
                "NUL, COM1 and LPT1 are reserved, with any suffix; choose another name"
            )


def make_output_folder(folder: pathlib.Path) -> None:
    """Create the folder that `--output` names; raises InputError if it cannot be written to."""
    refuse_remote(folder, "--output", "photos are written to local disks; copy them afterwards")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {folder} cannot be created: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--output {folder}: no permission to write there")
