"""Errors that need no stack trace, full disks, and text for messages."""

import errno
import io
import sys


class InputError(ValueError):
    """A file, folder or configuration that cannot be used; the message says what to change."""


class TryAgain(Exception):
    """The command is correct, but cannot be run now; the message says why, in one line."""


class FaultyDevice(Exception):
    """A device computes wrong results; the message names it, in one line."""


def is_disk_full(error: BaseException) -> bool:
    """Return True if an error of any library comes from a full disk or an exhausted quota."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Libraries in C++ have errors of their own, with the system's message.
    return any(text in str(error) for text in ("No space left on device", "Disk quota exceeded"))


def printable(text: str) -> str:
    """Escape line breaks and control characters, which file names may have, for one line of text."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def escape_what_cannot_be_printed() -> None:
    """Let standard output escape what its encoding lacks, as standard error does.

    On Windows, the encoding of files and pipes lacks most letters.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def install_hint(extra: str) -> str:
    """Return how to install an optional dependency group; the package is on no index."""
    return f"run pip install '.[{extra}]' in a clone of the repository"
