"""Fingerprints of files, by which a resumed run recognizes its records."""

import pathlib
import zlib

from data.storage import size_and_time

_FIRST_BYTES = 4096


def fingerprint(path: pathlib.Path, *, thorough: bool) -> str:
    """The size of a file, if `thorough` also a hash of its first bytes; raises `OSError`.

    The size alone needs no access to the content; it is the same for pictures without compression.
    """
    size = str(size_and_time(path)[0])
    if not thorough:
        return size
    with path.open("rb") as file:
        return f"{size}:{zlib.crc32(file.read(_FIRST_BYTES)):08x}"
