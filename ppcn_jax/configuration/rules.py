"""Rules for values of a configuration: what is wrong with a value, or None."""

import itertools
import re
from collections.abc import Callable
from typing import Any

from ppcn_jax.models.definitions import SMALLEST_SIDE
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.storage import to_path

Rule = Callable[[Any], str | None]

_LARGEST_INTEGER = 2**31 - 1  # steps are counted in int32
_LARGEST_FLOAT = 3.4e38  # float32
LARGEST_CROP = 16_384  # px; photos of phones are no larger
# px; what a super-resolver's border of up to 4 px leaves of it is larger than SSIM's window
_SMALLEST_SCORED = 32


def integer(least: int = 1, most: int = _LARGEST_INTEGER) -> Rule:
    """A rule for whole numbers from `least` to `most`."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return "it must be a whole number"
        if value < least:
            return f"it must be {f'at least {least}' if least != 1 else 'positive'}"
        return f"it must be at most {most:,}" if value > most else None

    return rule


def number(*, zero: bool = False, most: float = _LARGEST_FLOAT) -> Rule:
    """A rule for numbers up to `most` that are positive, or also 0."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "it must be a number"
        if not (value > 0 or zero and value == 0):  # both are false for NaN
            return f"it must be {'0 or more' if zero else 'positive'}"
        return f"it must be at most {most:g}" if value > most else None

    return rule


def below(limit: float) -> Rule:
    """A rule for numbers from 0 to just below `limit`."""
    rule = number(zero=True)
    return lambda value: rule(value) or (None if value < limit else f"it must be below {limit}")


def crop_or_zero(value: Any) -> str | None:
    """A rule for the side of a crop that is scored, px, or 0."""
    rule = integer(0, LARGEST_CROP)
    return rule(value) or (
        f"it must be 0 or at least {_SMALLEST_SCORED}" if 0 < value < _SMALLEST_SCORED else None
    )


def choice(*values: Any) -> Rule:
    """A rule for one of a few values of the same type."""
    listed = ", ".join(map(repr, values))
    problem = f"it must be {'one of ' if len(values) > 1 else ''}{listed}"
    return lambda value: None if value in values and type(value) is type(values[0]) else problem


def string(value: Any) -> str | None:
    """A rule for strings."""
    return None if isinstance(value, str) else "it must be a string"


def paths(value: Any) -> str | None:
    """A rule for strings that name files and folders, on local disks or in buckets."""
    if not isinstance(value, str):
        return "it must be a string"
    for scheme in re.findall(r"[A-Za-z][\w+.-]+://[^\s,;]*", value):
        try:
            to_path(scheme)
        except InputError as error:
            return str(error)
    return None


def boolean(value: Any) -> str | None:
    """A rule for True and False."""
    return None if isinstance(value, bool) else "it must be True or False"


def name_template(value: Any) -> str | None:
    """A rule for file names with "{}" in place of another name."""
    fits = isinstance(value, str) and value.count("{}") == 1 and "/" not in value
    return None if fits else "it must contain {} once, and no folder, such as '{}x4'"


def increasing(value: Any) -> str | None:
    """A rule for positive whole numbers in increasing order."""
    numbers = [0, *value] if isinstance(value, tuple | list) else [0, 0]
    rises = all(isinstance(b, int) and a < b for a, b in itertools.pairwise(numbers))
    return None if rises else "it must be positive whole numbers that increase, such as (10, 20)"


def sizes(value: Any, *, images: bool = False) -> str | None:
    """A rule for tuples of height and width, px; with `images`, of their number before that."""
    entries = value if isinstance(value, tuple | list) and value else [None]
    names = ("images", "height", "width") if images else ("height", "width")
    number_of, side = integer(), integer(SMALLEST_SIDE)
    fit = all(
        isinstance(entry, tuple | list)
        and len(entry) == len(names)
        and not any(map(number_of, entry[:-2]))
        and not any(map(side, entry[-2:]))
        for entry in entries
    )
    if fit:
        return None
    return f"it must be tuples ({', '.join(names)}) with sides of at least {SMALLEST_SIDE} px"
