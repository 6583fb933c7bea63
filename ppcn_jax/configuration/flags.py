"""The flags of launch.py: a mistake in them, or in a configuration file, is told in one line."""

import os
import sys
import traceback

import absl
import ml_collections
from absl import flags

_LIBRARIES = tuple(os.path.dirname(str(module.__file__)) for module in (absl, ml_collections))


def parse_flags(arguments: list[str]) -> list[str]:
    """Parse the command line, for `absl.app.run(main, flags_parser=parse_flags)`.

    Args:
        arguments: of the command line, the program's name first.

    Returns:
        The program's name alone.

    Raises:
        SystemExit: with a line that names the flag, or the place in the configuration file; the
            exit status is 1.
    """
    try:
        program, *rest = flags.FLAGS(arguments)
        if rest:
            raise flags.Error(f"unexpected arguments: {' '.join(rest)}")
        # What ml_collections makes of a file that it cannot open raises when it is looked at.
        if not hasattr(flags.FLAGS.config, "task"):
            raise TypeError("get_config() must return a ConfigDict with a field `task`")
    except Exception as error:  # noqa: BLE001  a configuration file may raise anything
        sys.exit(f"launch.py: {_one_line(error)}")
    return [program]


def _one_line(error: BaseException) -> str:
    if "Traceback" in str(error):  # of an error in get_config, which ml_collections prints
        while cause := error.__cause__ or error.__context__:
            error = cause
    text, place = f"{type(error).__name__}: {error}", _place(error)
    if isinstance(error, flags.Error | OSError):
        text = str(error)
    elif isinstance(error, TypeError) and "get_config()" in text:
        text += "; a colon and the name of a variant follow the file if it has variants"
    elif isinstance(error, AttributeError | KeyError) and not place:
        text = f"the configuration has no such field: {error}"
    return " ".join(f"{text}{place}".split())


def _place(error: BaseException) -> str:
    """Which line of a configuration file raised."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((__file__, "<frozen", *_LIBRARIES)):
            return f" ({frame.filename}, line {frame.lineno})"
    return ""
