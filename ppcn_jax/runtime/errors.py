"""The error for what a user gave and can mend, and how to know a full disk."""

import errno


class InputError(ValueError):
    """A file, folder or configuration that cannot be used; the message says what to change."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error comes from a disk or quota without space.

    Args:
        error: of any library; not all of them raise `OSError`.

    Returns:
        True if it says so.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(text in str(error) for text in ("No space left on device", "Disk quota exceeded"))


def printable(text: str) -> str:
    """A text for a terminal: line breaks and control characters of file names are escaped.

    Args:
        text: of one line.

    Returns:
        The same where every character can be printed.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def install_hint(extra: str) -> str:
    """How to install an optional dependency group of the package, which is on no index."""
    return f"run pip install '.[{extra}]' in a clone of the repository"
